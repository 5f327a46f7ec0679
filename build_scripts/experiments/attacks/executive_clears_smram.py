# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor has VMCLEAR write to SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have VMCLEAR write the launch state of a VMCS to SMRAM",
    steps="before=smm.read:8:tseg+1000 vmclear:tseg+1000 after=smm.read:8:tseg+1000",
    judge=changed("before", "after"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: outside SMM the chipset answers with ones and loses writes",
    reason="nothing outside SMM reaches TSEG, STM or not",
)
