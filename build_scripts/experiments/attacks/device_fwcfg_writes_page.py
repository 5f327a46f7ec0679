# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine's fw_cfg writes memory by DMA: what a guest tells it to."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="have fw_cfg write a page of the executive monitor by DMA",
    steps="protect:page:1000 before=read:8:page fwcfg.write:page after=read:8:page",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="an STM confines SMI handlers; and no IOMMU stands before what the machine itself is made of",
)
