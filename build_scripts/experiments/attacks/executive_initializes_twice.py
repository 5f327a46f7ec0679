# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor initializes the STM again."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have INITIALIZE_PROTECTION forget what is protected",
    steps="hit=vmcall:10007:0:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_ALREADY_STARTED",
    reason="without an STM there is nobody to call",
)
