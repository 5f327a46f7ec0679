# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler has the machine wake up somewhere else."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change where the machine goes on after S3 (the waking vector in the FACS)",
    steps=(
        "before=read:4:facs+c protect:facs&fffff000:1000 hit=smm.write:4:facs+c:9a000 after=read:4:facs+c "
        "write:4:facs+c:$before"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="the FACS is memory, and nobody asks the STM to protect it",
)
