# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler moves PCI configuration space to where nobody guards it."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import EDU, PCIEXBAR

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="move PCI configuration space in memory to an address that nobody guards (PCIEXBAR)",
    steps=(
        f"out:4:cf8:{PCIEXBAR} before=in:4:cfc protect-pci:{EDU:x}00:3c:1 smm.out:4:cf8:{PCIEXBAR} "
        f"hit=smm.out:4:cfc:$before!40000000 out:4:cf8:{PCIEXBAR} after=in:4:cfc out:4:cfc:$before"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="the STM keeps the chipset's register to itself as long as a register of PCI is protected",
    reason="while nothing of PCI is protected there is nothing to evade",
)
