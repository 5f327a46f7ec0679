# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes IA32_SMM_MONITOR_CTL."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="move MSEG by IA32_SMM_MONITOR_CTL",
    steps="hit=wrmsr:9b:0",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#GP by the executive monitor, and by the processor outside SMM",
    reason="the MSR can be written in SMM only",
    place=Place.GUEST,
)
