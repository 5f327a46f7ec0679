# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler reads a page in between: it was opened once more, and protected again by another processor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, SECRET, SUCCEEDED, stolen

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read a page by a translation from the time in which its protection was lifted",
    steps=(
        "protect:page:1000 vmcall:4c000005:page:0:0 smm.read:8:page protect-cpu:1:page "
        f"write:8:page:{SECRET:x} loot=smm.read:8:page"
    ),
    judge=stolen("loot"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="the STM flushes the translations of every processor (INVEPT) before the call returns",
    reason="what nobody asks the STM to protect is open to the handler",
    place=Place.GUEST,
    processors=2,
)
