# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves another processor number behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have RDTSCP of the interrupted side tell another processor (TSC_AUX)",
    steps=("before=rdmsr:c0000103 hit=smm.wrmsr:c0000103:$before!1 after=rdmsr:c0000103 wrmsr:c0000103:$before"),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM gives the register back at RSM",
)
