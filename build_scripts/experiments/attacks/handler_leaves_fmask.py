# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves another mask for SYSCALL behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have SYSCALL of the interrupted side keep interrupts on (FMASK)",
    steps=("before=rdmsr:c0000084 hit=smm.wrmsr:c0000084:$before!200 after=rdmsr:c0000084 wrmsr:c0000084:$before"),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
