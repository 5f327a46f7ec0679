# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler reads an MSR of the executive monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read an MSR that the executive monitor protects (IA32_SYSENTER_CS)",
    steps="protect-msr:174 loot=smm.rdmsr:174",
    judge=executed("loot"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="MSR bitmap of the SMI handler",
    reason="what nobody asks the STM to protect is open to the handler",
)
