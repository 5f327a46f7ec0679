# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves the address of a breakpoint behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="leave an address in DR0",
    steps="before=rddr:0 hit=smm.wrdr:0:$before!1000 after=rddr:0 wrdr:0:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
