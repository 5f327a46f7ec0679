# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes memory of the executive monitor that is protected from SMI handlers."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import MARK, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write a page of the executive monitor by DMA",
    steps=f"protect:page:1000 before=read:8:page dev.write:8:page:{MARK:x} after=read:8:page",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="an STM confines SMI handlers; against DMA an executive monitor needs an IOMMU, which this machine lacks",
)
