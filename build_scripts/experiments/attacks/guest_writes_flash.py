# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes the firmware's flash."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="bring the flash with the variables into another mode (command 70H)",
    steps="before=read:1:ffc00000 write:1:ffc00000:70 after=read:1:ffc00000 write:1:ffc00000:ff",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the flash takes commands from SMM only",
    reason="the firmware's part of the flash is SMM's, STM or not",
    place=Place.GUEST,
)
