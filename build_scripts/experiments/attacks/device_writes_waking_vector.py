# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device has the machine wake up somewhere else."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import IOMMU_OFF, IOMMU_STOPS, iommu_off, iommu_on

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="change where the machine goes on after S3 (the waking vector in the FACS)",
    steps=(
        f"before=read:4:facs+c protect:facs&fffff000:1000 {iommu_on()} dev.write:4:facs+c:9a000 {iommu_off()} "
        "after=read:4:facs+c write:4:facs+c:$before"
    ),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by=IOMMU_STOPS,
    reason=IOMMU_OFF,
)
