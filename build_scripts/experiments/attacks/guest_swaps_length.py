# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest changes on one processor a length that an SMI handler has checked, in an SMI that it sends there."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, used

_ALLOWED = 8

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="have an SMI handler use a length that it has not checked, in an SMI of one processor",
    steps="write:8:page:8 swap:1:page:8:1000 before=use:page:8:10000000 loot=alone.use:page:8:400000 calm",
    judge=used("before", "loot", _ALLOWED),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the firmware: it waits for the other processor, sends it an SMI, and waits once more",
    reason="the other processor cannot but take the SMI; one that can, for a while, is what the STM's policies are for",
    place=Place.GUEST,
    processors=2,
)
