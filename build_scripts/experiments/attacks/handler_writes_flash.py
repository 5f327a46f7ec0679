# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes the firmware's flash."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="bring the flash with the variables into another mode (command 70H)",
    steps=("before=smm.read:1:ffc00000 smm.write:1:ffc00000:70 after=smm.read:1:ffc00000 smm.write:1:ffc00000:ff"),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="the flash is the firmware's own; an executive monitor that does not trust it has to measure it",
)
