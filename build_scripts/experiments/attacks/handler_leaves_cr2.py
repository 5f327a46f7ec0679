# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves another fault address behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change CR2 of the interrupted side",
    steps="before=rdcr:2 hit=smm.wrcr:2:$before!1000 after=rdcr:2",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
