# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler switches the executive monitor's IOMMU off."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import IOMMU, IOMMU_COMMAND, IOMMU_STATUS, iommu_off, iommu_on

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="switch the IOMMU off",
    steps=(
        f"{iommu_on('all')} before=read:4:{IOMMU_STATUS:x} protect:{IOMMU:x}:1000 "
        f"hit=smm.write:4:{IOMMU_COMMAND:x}:0 after=read:4:{IOMMU_STATUS:x} {iommu_off('all')}"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the IOMMU's registers are protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
