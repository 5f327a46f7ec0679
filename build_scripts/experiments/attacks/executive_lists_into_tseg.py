# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor uses the STM to write SMRAM: a confused deputy."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have GET_BIOS_RESOURCES write a list to SMRAM",
    steps="before=smm.read:8:tseg+1000 hit=vmcall:10005:tseg+1000:0:0 after=smm.read:8:tseg+1000",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: no page in TSEG is read or written for a caller",
    reason="without an STM there is nobody to call",
)
