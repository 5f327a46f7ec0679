# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler has a device write memory that it may not write itself."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, changed
from build_scripts.experiments.attacking.words import edu_ready, edu_transfer

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have a device write protected memory by DMA",
    steps=f"{edu_ready()} protect:page:1000 before=read:8:page {edu_transfer('page')} after=read:8:page",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="protected memory is kept from the processor, not from a device: that is to be protected as well",
)
