# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device writes the executive monitor's VMXON region."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import MARK, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="write the VMXON region by DMA",
    steps=(f"protect:vmxon:1000 before=read:8:vmxon+ff8 dev.write:8:vmxon+ff8:$before!{MARK:x} after=read:8:vmxon+ff8"),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="an STM confines SMI handlers; against DMA an executive monitor needs an IOMMU, which this machine lacks",
)
