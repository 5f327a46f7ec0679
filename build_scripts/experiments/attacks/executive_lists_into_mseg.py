# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor uses the STM to overwrite the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have GET_BIOS_RESOURCES write a list to MSEG",
    steps="hit=vmcall:10005:mseg+1ff000:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: no page in TSEG is read or written for a caller",
    reason="without an STM there is nobody to call",
)
