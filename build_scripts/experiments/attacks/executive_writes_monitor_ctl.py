# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor writes IA32_SMM_MONITOR_CTL."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="move MSEG by IA32_SMM_MONITOR_CTL",
    steps="hit=wrmsr:9b:0",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#GP: the MSR can be written in SMM only",
    reason="the processor refuses it with and without an STM",
)
