# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler leaves caches disabled."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="leave CR0.CD set",
    steps="before=rdcr:0 hit=smm.wrcr:0:$before!40000000 after=rdcr:0",
    judge=changed("before", "after", "hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="RSM loads CR0 under the default treatment, and the STM gives CD and NW back",
    reason="under both treatments CR0 is saved before the handler runs",
)
