# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device changes by DMA a length that an SMI handler has checked: a double fetch that no rendezvous prevents."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, used

_ALLOWED = 8

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="have an SMI handler use a length that it has not checked: DMA changes it behind the check",
    steps="write:8:page:8 dev.later:8:page:1000 loot=smm.use:page:8:400000 after=read:8:page",
    judge=used("after", "loot", _ALLOWED),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="the STM's snapshot policy: the handler reads a copy of the page, whatever the device writes",
    reason="no processor writes, so nobody waits for one",
    policy={"opt/org.stmlab/stm-snapshot": "128"},
)
