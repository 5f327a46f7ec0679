# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor uses the STM's event log to write SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have the STM write its event log to SMRAM",
    steps="write:8:page2:100000001 write:8:page2+8:tseg+1000 hit=vmcall:10008:page2:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_SECURITY_VIOLATION",
    reason="without an STM there is nobody to call",
)
