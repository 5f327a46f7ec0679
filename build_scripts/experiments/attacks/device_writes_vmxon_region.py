# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes the executive monitor's VMXON region."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import IOMMU_OFF, IOMMU_STOPS, iommu_off, iommu_on

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write the VMXON region by DMA",
    steps=(
        f"protect:vmxon:1000 before=read:8:vmxon+ff8 {iommu_on()} dev.write:8:vmxon+ff8:$before!{MARK:x} {iommu_off()} "
        "after=read:8:vmxon+ff8"
    ),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by=IOMMU_STOPS,
    reason=IOMMU_OFF,
)
