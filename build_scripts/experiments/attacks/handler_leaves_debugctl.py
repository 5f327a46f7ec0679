# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves branch records on."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="switch on last branch records for the interrupted side (IA32_DEBUGCTL)",
    steps="before=rdmsr:1d9 hit=smm.wrmsr:1d9:$before!1 after=rdmsr:1d9 wrmsr:1d9:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the register belongs to each side's VMCS",
)
