# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves other memory types behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change the memory types of the interrupted side's pages (IA32_PAT)",
    steps="before=rdmsr:277 hit=smm.wrmsr:277:$before!1 after=rdmsr:277 wrmsr:277:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the register belongs to each side's VMCS",
)
