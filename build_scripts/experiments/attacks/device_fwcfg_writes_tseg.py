# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine's fw_cfg writes SMRAM by DMA: what a guest tells it to."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="have fw_cfg write SMRAM by DMA",
    steps="before=smm.read:8:tseg+1000 fwcfg.write:tseg+1000 after=smm.read:8:tseg+1000",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: the chipset keeps devices out of it",
    reason="no device reaches TSEG, STM or not",
)
