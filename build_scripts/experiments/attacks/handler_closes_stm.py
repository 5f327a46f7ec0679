# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler takes the valid bit from the MSR that names MSEG."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="switch the treatment off for the next session (IA32_SMM_MONITOR_CTL)",
    steps="before=smm.rdmsr:9b hit=smm.wrmsr:9b:$before!1 after=smm.rdmsr:9b smm.wrmsr:9b:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="MSR bitmap of the SMI handler: writes of IA32_SMM_MONITOR_CTL are refused",
)
