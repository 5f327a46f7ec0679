# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest reads its monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, closed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="read the executive monitor",
    steps="loot=read:8:exec",
    judge=closed("loot"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="EPT of the executive monitor",
    reason="an executive monitor hides itself, STM or not",
    place=Place.GUEST,
)
