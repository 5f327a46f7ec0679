# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest tries to stop the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="stop the STM by VMCALL",
    steps="hit=vmcall:10002:0:0:0",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the executive monitor passes no VMCALL on",
    reason="a VMCALL of a guest goes to its own monitor",
    place=Place.GUEST,
)
