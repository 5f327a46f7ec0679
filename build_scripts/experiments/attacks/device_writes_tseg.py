# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write SMRAM by DMA",
    steps=f"before=smm.read:8:tseg+1000 dev.write:8:tseg+1000:$before!{MARK:x} after=smm.read:8:tseg+1000",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: the chipset keeps devices out of it",
    reason="no device reaches TSEG, STM or not",
)
