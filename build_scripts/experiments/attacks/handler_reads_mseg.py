# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler reads the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read the STM in MSEG",
    steps="loot=smm.read:8:mseg",
    judge=executed("loot"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="EPT of the SMI handler: MSEG is not in it",
)
