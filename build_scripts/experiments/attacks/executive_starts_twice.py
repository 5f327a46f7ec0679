# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor starts the STM again on a processor on which it runs."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have START initialize the STM a second time",
    steps="hit=vmcall:10001:0:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_ALREADY_STARTED",
    reason="without an STM there is nobody to call",
)
