# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes SMRAM in every width."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, changed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="write SMRAM with 1, 2, 4 and 8 bytes",
    steps=(
        "before=smm.read:8:tseg+1000 write:1:tseg+1000:5a write:2:tseg+1000:5a5a "
        f"write:4:tseg+1000:5a5a5a5a write:8:tseg+1000:$before!{MARK:x} after=smm.read:8:tseg+1000"
    ),
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: outside SMM the chipset answers with ones and loses writes",
    reason="nothing outside SMM reaches TSEG, STM or not",
    place=Place.GUEST,
)
