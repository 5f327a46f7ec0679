# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor names memory of the STM as a VMCS of its own."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have the STM take MSEG for a VMCS of the executive monitor",
    steps="write:8:page2:mseg write:8:page2+8:100000000 hit=vmcall:10006:page2:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_SECURITY_VIOLATION",
    reason="without an STM there is nobody to call",
)
