# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest reads SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, closed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="read SMRAM",
    steps="loot=read:8:tseg+1000",
    judge=closed("loot"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: outside SMM the chipset answers with ones and loses writes",
    reason="nothing outside SMM reaches TSEG, STM or not",
    place=Place.GUEST,
)
