# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor reads the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, closed

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="read the STM in MSEG",
    steps="loot=read:8:mseg",
    judge=closed("loot"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: outside SMM the chipset answers with ones and loses writes",
    reason="nothing outside SMM reaches TSEG, STM or not",
)
