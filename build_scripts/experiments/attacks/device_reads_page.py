# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device reads memory of the executive monitor that is protected from SMI handlers."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SECRET, SUCCEEDED, stolen
from build_scripts.experiments.attacking.words import IOMMU_OFF, IOMMU_STOPS, iommu_off, iommu_on

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="read a secret of the executive monitor by DMA",
    steps=f"write:8:page:{SECRET:x} protect:page:1000 {iommu_on()} loot=dev.read:8:page {iommu_off()}",
    judge=stolen("loot"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by=IOMMU_STOPS,
    reason=IOMMU_OFF,
)
