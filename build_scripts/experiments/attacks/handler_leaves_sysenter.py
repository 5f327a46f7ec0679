# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves another entry point for SYSENTER behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have SYSENTER of the interrupted side enter another address (IA32_SYSENTER_EIP)",
    steps="before=rdmsr:176 hit=smm.wrmsr:176:$before!1000 after=rdmsr:176 wrmsr:176:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the register belongs to each side's VMCS",
)
