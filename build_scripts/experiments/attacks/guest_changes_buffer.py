# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest changes on one processor what an SMI handler on another one is looking at."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed_meanwhile

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="change a buffer between two looks of the SMI handler, from another processor",
    steps="race:1:page before=watch:page:2000000 loot=smm.watch:page:2000000 calm",
    judge=changed_meanwhile("before", "loot"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the firmware: it waits until every processor is in SMM; not for ever, but this one comes at once",
    reason="an SMI by port B2H goes to all processors, and the one that writes takes it, too",
    place=Place.GUEST,
    processors=2,
)
