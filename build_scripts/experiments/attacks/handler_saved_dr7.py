# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler sets a breakpoint of the interrupted side through the save state."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="enable a breakpoint through DR7 in the save state",
    steps="before=rddr:7 hit=smm.save:4:ff60:$before!2 after=rddr:7 wrdr:7:$before",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM takes only general-purpose registers, RSP, RIP, RFLAGS and SMBASE from the save state",
)
