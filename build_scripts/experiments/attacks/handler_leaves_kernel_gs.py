# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves another base for SWAPGS behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="give the interrupted kernel another GS base (KERNEL_GS_BASE)",
    steps=("before=rdmsr:c0000102 hit=smm.wrmsr:c0000102:$before!1000 after=rdmsr:c0000102 wrmsr:c0000102:$before"),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
