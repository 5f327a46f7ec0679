# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes memory of the executive monitor that is protected from SMI handlers."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import IOMMU_OFF, IOMMU_STOPS, iommu_off, iommu_on

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write a page of the executive monitor by DMA",
    steps=(
        f"protect:page:1000 before=read:8:page {iommu_on()} dev.write:8:page:{MARK:x} {iommu_off()} after=read:8:page"
    ),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by=IOMMU_STOPS,
    reason=IOMMU_OFF,
)
