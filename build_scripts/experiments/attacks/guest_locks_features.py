# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest changes which processor features exist."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="write IA32_FEATURE_CONTROL",
    steps="hit=wrmsr:3a:0",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#GP by the executive monitor, and by the lock bit",
    reason="the firmware has locked the register",
    place=Place.GUEST,
)
