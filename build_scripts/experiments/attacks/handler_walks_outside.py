# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler changes to page tables that its victim can write."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="load CR3 with page tables outside SMRAM",
    steps="cr3=smm.rdcr:3 smm.copy:$cr3:page2:1000 hit=smm.wrcr:3:page2",
    judge=executed("hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="CR3-load exiting of the SMI handler: page tables are in its SMRAM",
)
