# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves a breakpoint behind."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="leave a breakpoint enabled in DR7",
    steps="before=rddr:7 hit=smm.wrdr:7:$before!2 after=rddr:7 wrdr:7:$before",
    judge=changed("before", "after", "hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="RSM loads DR7 under the default treatment, and the VMCS has it under the STM",
    reason="under both treatments DR7 is saved before the handler runs",
)
