# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler changes EFER of the interrupted side through the save state."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change EFER of the interrupted side through the save state",
    steps="before=rdmsr:c0000080 hit=smm.save:8:fed0:$before!1 after=rdmsr:c0000080 wrmsr:c0000080:$before",
    judge=changed("before", "after"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM takes only general-purpose registers, RSP, RIP, RFLAGS and SMBASE from the save state",
)
