# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves another entry point for system calls behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have SYSCALL of the interrupted side enter another address (LSTAR)",
    steps=("before=rdmsr:c0000082 hit=smm.wrmsr:c0000082:$before!1000 after=rdmsr:c0000082 wrmsr:c0000082:$before"),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
