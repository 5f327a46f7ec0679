# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device reads the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, closed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="read the STM in MSEG by DMA",
    steps="loot=dev.read:8:mseg",
    judge=closed("loot"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="MSEG is a part of TSEG: the chipset keeps devices out of it",
    reason="no device reaches TSEG, STM or not",
)
