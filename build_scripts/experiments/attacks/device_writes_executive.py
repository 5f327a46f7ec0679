# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes the executive monitor's code."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import IOMMU_OFF, IOMMU_STOPS, iommu_off, iommu_on

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write the executive monitor's code by DMA",
    steps=(
        f"before=read:8:exec+40 {iommu_on()} dev.write:8:exec+40:$before!{MARK:x} {iommu_off()} after=read:8:exec+40 "
        "write:8:exec+40:$before"
    ),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by=IOMMU_STOPS,
    reason=IOMMU_OFF,
)
