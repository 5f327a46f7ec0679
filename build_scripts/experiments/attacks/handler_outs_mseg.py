# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler lets OUTS send the STM's memory to a port."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="send MSEG to a port with OUTS",
    steps="hit=smm.outs:80:mseg:4",
    judge=executed("hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="EPT of the SMI handler: MSEG is not in it",
)
