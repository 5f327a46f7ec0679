# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler asks the STM to open what the executive monitor protects."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SECRET, answered
from build_scripts.experiments.attacking.words import memory_list

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="call UNPROTECT_RESOURCE for a page",
    steps=f"write:8:page:{SECRET:x} protect:page:1000 {memory_list('page')} hit=smm.vmcall:10004:page2:0:0",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the STM takes the executive monitor's numbers from VMX root operation only",
    reason="without the STM there is nobody to call: #UD",
)
