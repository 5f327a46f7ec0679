# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor changes which processor features exist."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="write IA32_FEATURE_CONTROL",
    steps="hit=wrmsr:3a:0",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#GP: the lock bit is set",
    reason="the firmware has locked the register",
)
