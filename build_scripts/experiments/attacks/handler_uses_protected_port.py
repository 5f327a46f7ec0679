# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler uses a port of the executive monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read the keyboard controller's port 64H",
    steps="protect-io:60:5 loot=smm.in:1:64",
    judge=executed("loot"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="I/O bitmap of the SMI handler",
    reason="what nobody asks the STM to protect is open to the handler",
)
