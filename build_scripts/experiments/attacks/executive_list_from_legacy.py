# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor uses the STM to read legacy SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have PROTECT_RESOURCE read its list from A0000H",
    steps="hit=vmcall:10003:a0000:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: no page in legacy SMRAM is read or written for a caller",
    reason="without an STM there is nobody to call",
)
