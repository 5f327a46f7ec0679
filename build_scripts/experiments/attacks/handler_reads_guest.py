# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler reads memory of the executive monitor's guest."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, SECRET, SUCCEEDED, stolen

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read a secret of the executive monitor's guest",
    steps=f"write:8:page:{SECRET:x} protect:page:1000 loot=smm.read:8:page",
    judge=stolen("loot"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="what nobody asks the STM to protect is open to the handler",
    place=Place.GUEST,
)
