# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes a register of a device where PCI configuration space lies in memory."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import EDU, EDU_ECAM, PCIEXBAR

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change a register of a device that the executive monitor uses, in memory (ECAM)",
    steps=(
        f"out:4:cf8:{PCIEXBAR} bar=in:4:cfc before=read:1:$bar&f0000000+{EDU_ECAM:x}+3c protect-pci:{EDU:x}00:3c:1 "
        f"hit=smm.write:1:$bar&f0000000+{EDU_ECAM:x}+3c:5a after=read:1:$bar&f0000000+{EDU_ECAM:x}+3c "
        f"write:1:$bar&f0000000+{EDU_ECAM:x}+3c:$before"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page exits, and the STM looks at each instruction",
    reason="what nobody asks the STM to protect is open to the handler",
)
