# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler lets a string instruction write the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have INS write what it reads from a port to MSEG",
    steps="hit=smm.ins:80:mseg+1fff00:4",
    judge=executed("hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="EPT of the SMI handler: MSEG is not in it",
)
