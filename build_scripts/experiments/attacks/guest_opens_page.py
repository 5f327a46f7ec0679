# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest asks its monitor to open a page that is none of its business."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="have the STM open MSEG, through a hypercall of the executive monitor",
    steps="hit=vmcall:4c000005:mseg:0:0",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the STM: nothing is opened that PROTECT_RESOURCE has not closed",
    reason="without an STM the executive monitor has nobody to ask",
    place=Place.GUEST,
)
