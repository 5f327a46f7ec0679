# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes a register of a device by the ports of PCI configuration space."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import EDU

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change a register of a device that the executive monitor uses, by ports CF8H and CFCH",
    steps=(
        f"out:4:cf8:8000{EDU:x}3c before=in:1:cfc protect-pci:{EDU:x}00:3c:1 smm.out:4:cf8:8000{EDU:x}3c "
        f"hit=smm.out:1:cfc:5a out:4:cf8:8000{EDU:x}3c after=in:1:cfc out:1:cfc:$before"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="I/O bitmap of the SMI handler: ports CF8H to CFFH exit, and the register is protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
