# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler has a device write memory, and the device is behind an IOMMU."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import (
    IOMMU_OFF,
    IOMMU_STOPS,
    edu_ready,
    edu_transfer,
    iommu_off,
    iommu_on,
)

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have a device write protected memory by DMA, past the IOMMU",
    steps=(
        f"{edu_ready()} protect:page:1000 before=read:8:page {iommu_on()} {edu_transfer('page')} {iommu_off()} "
        "after=read:8:page"
    ),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by=IOMMU_STOPS,
    reason=IOMMU_OFF,
)
