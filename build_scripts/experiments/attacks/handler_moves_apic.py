# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler moves the local APIC over memory of the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="move the local APIC to MSEG (IA32_APIC_BASE)",
    steps="before=rdmsr:1b hit=smm.wrmsr:1b:mseg+900 after=rdmsr:1b wrmsr:1b:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="MSR bitmap of the SMI handler: writes of IA32_APIC_BASE are refused",
)
