# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler calls the STM with a number of the executive monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="call STOP",
    steps="hit=smm.vmcall:10002:0:0:0",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the STM takes the executive monitor's numbers from VMX root operation only",
    reason="without the STM there is nobody to call: #UD",
)
