# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler changes the memory types of all software."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change the default memory type (IA32_MTRR_DEF_TYPE)",
    steps="before=rdmsr:2ff protect-msr:2ff hit=smm.wrmsr:2ff:$before!6 after=rdmsr:2ff wrmsr:2ff:$before",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="MSR bitmap of the SMI handler: writes of MTRRs are refused",
)
