# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor asks the STM to give its handler the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered
from build_scripts.experiments.attacking.words import memory_list

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have UNPROTECT_RESOURCE open MSEG to the SMI handler",
    steps=f"{memory_list('mseg')} hit=vmcall:10004:page2:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: nothing is opened that PROTECT_RESOURCE has not closed",
    reason="without an STM there is nobody to call",
)
