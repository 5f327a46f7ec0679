# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler changes CR4 of the interrupted side through the save state."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change CR4 of the interrupted side through the save state",
    steps="before=rdcr:4 hit=smm.save:4:ff48:$before&ffffdfff!8 after=rdcr:4 wrcr:4:$before",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM takes only general-purpose registers, RSP, RIP, RFLAGS and SMBASE from the save state",
)
