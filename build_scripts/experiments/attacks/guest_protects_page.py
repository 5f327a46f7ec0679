# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest calls the STM to protect memory of its own."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered
from build_scripts.experiments.attacking.words import memory_list

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="call PROTECT_RESOURCE",
    steps=f"{memory_list('page')} hit=vmcall:10003:page2:0:0",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the executive monitor passes no VMCALL on",
    reason="a VMCALL of a guest goes to its own monitor",
    place=Place.GUEST,
)
