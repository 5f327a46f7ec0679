# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler that never ends."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Column
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, survived

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="hold the processor for ever",
    steps="look=read:8:page",
    judge=survived("look"),
    expects=(NONE, BLOCKED, NONE),
    stopped_by="the preemption timer: the STM crashes, and resets the platform",
    reason="without an STM nothing ends it, and nothing is left to see it; protection changes nothing",
    crashes={Column.UNPROTECTED: "handler-timeout"},
    then=("SmmTest.efi loop",),
)
