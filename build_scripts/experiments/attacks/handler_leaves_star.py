# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves other selectors for SYSCALL behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change the selectors of SYSCALL (STAR)",
    steps=(
        "before=rdmsr:c0000081 hit=smm.wrmsr:c0000081:$before!100000000000000 after=rdmsr:c0000081 "
        "wrmsr:c0000081:$before"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
