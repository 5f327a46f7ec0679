# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor switches TSEG off."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="clear T_EN in the chipset's ESMRAMC register",
    steps="out:4:cf8:8000009c before=in:1:cfe out:1:cfe:$before!1 after=in:1:cfe",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="D_LCK: the firmware has locked the register",
    reason="the lock does not depend on an STM",
)
