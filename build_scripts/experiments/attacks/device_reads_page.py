# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device reads memory of the executive monitor that is protected from SMI handlers."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SECRET, SUCCEEDED, stolen

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="read a secret of the executive monitor by DMA",
    steps=f"write:8:page:{SECRET:x} protect:page:1000 loot=dev.read:8:page",
    judge=stolen("loot"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="an STM confines SMI handlers; against DMA an executive monitor needs an IOMMU, which this machine lacks",
)
