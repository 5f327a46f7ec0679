# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor opens legacy SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="set D_OPEN in the chipset's SMRAM register",
    steps="out:4:cf8:8000009c before=in:1:cfd out:1:cfd:$before!40 after=in:1:cfd",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="D_LCK: the firmware has locked the register",
    reason="the lock does not depend on an STM",
)
