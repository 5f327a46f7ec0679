# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor makes a VMCS in SMRAM current."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="make a VMCS in SMRAM current",
    steps="hit=vmptrld:tseg+1000",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: VMPTRLD reads ones there, which are no revision identifier",
    reason="nothing outside SMM reaches TSEG, STM or not",
)
