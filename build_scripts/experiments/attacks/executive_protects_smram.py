# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor takes the SMI handler's own memory from it."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered
from build_scripts.experiments.attacking.words import memory_list

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have PROTECT_RESOURCE take SMRAM from the firmware",
    steps=f"{memory_list('tseg+1000')} hit=vmcall:10003:page2:0:0",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: what the firmware needs is not protected from it",
    reason="without an STM there is nobody to call",
)
