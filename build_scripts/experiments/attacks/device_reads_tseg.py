# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device reads SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, copied

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="read SMRAM by DMA",
    steps="secret=smm.read:8:tseg+1000 loot=dev.read:8:tseg+1000",
    judge=copied("secret", "loot"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: the chipset keeps devices out of it",
    reason="no device reaches TSEG, STM or not",
)
