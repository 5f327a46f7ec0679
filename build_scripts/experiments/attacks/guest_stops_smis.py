# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest switches SMIs off."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="clear GBL_SMI_EN, so that no SMI comes any more",
    steps="before=in:4:630 out:4:630:$before!1 after=in:4:630 out:4:630:$before",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="SMI_LOCK: the firmware has locked the bit",
    reason="the lock does not depend on an STM",
    place=Place.GUEST,
)
