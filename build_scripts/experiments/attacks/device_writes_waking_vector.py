# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A device has the machine wake up somewhere else."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.DEVICE,
    goal="change where the machine goes on after S3 (the waking vector in the FACS)",
    steps=(
        "before=read:4:facs+c protect:facs&fffff000:1000 dev.write:4:facs+c:9a000 after=read:4:facs+c "
        "write:4:facs+c:$before"
    ),
    judge=changed("before", "after"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="an STM confines SMI handlers; against devices it takes an IOMMU",
)
