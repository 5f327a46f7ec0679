# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes the executive monitor's code."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import MARK, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write the executive monitor's code by DMA",
    steps=(f"before=read:8:exec+40 dev.write:8:exec+40:$before!{MARK:x} after=read:8:exec+40 write:8:exec+40:$before"),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="an STM confines SMI handlers; against DMA an executive monitor needs an IOMMU, which this machine lacks",
)
