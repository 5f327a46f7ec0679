# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes its monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, changed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="write the executive monitor",
    steps=f"before=smm.read:8:exec+40 write:8:exec+40:$before!{MARK:x} after=smm.read:8:exec+40",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="EPT of the executive monitor",
    reason="an executive monitor hides itself, STM or not",
    place=Place.GUEST,
)
