# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor uses a number of the SMI handler's interface."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="call RETURN_FROM_PROTECTION_EXCEPTION",
    steps="hit=vmcall:4:0:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_INVALID_API",
    reason="without an STM there is nobody to call",
)
