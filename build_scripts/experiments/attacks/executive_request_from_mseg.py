# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor uses MANAGE_VMCS_DATABASE to read MSEG."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have MANAGE_VMCS_DATABASE read its request from MSEG",
    steps="hit=vmcall:10006:mseg:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: ERROR_STM_SECURITY_VIOLATION",
    reason="without an STM there is nobody to call",
)
