# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler gives the interrupted side other page tables through the save state."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="give the interrupted side other page tables (CR3 in the save state)",
    steps="before=rdcr:3 copy:$before:page2:1000 hit=smm.save:8:ff50:page2 after=rdcr:3 wrcr:3:$before",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM takes only general-purpose registers, RSP, RIP, RFLAGS and SMBASE from the save state",
)
