# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor names a range that wraps around the address space."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered
from build_scripts.experiments.attacking.words import memory_list

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="protect a range whose end wraps around to SMRAM",
    steps=f"{memory_list('tseg', 0xFFFFFFFFFFFFF000)} hit=vmcall:10003:page2:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: the list is malformed",
    reason="without an STM there is nobody to call",
)
