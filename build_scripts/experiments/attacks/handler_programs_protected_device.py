# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler programs a device whose registers are protected."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed
from build_scripts.experiments.attacking.words import edu_ready, edu_transfer

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have a device of the executive monitor write protected memory by DMA",
    steps=(
        f"{edu_ready()} protect:page:1000 protect:$bar:100000 before=read:8:page {edu_transfer('page')} "
        "after=read:8:page"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the device's registers are protected, too",
    reason="what nobody asks the STM to protect is open to the handler",
)
