# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler reads the code of the executive monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, copied

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read the code of the executive monitor",
    steps="secret=read:8:exec protect:exec:1000 loot=smm.read:8:exec",
    judge=copied("secret", "loot"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
