# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler executes code in memory of the executive monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, ran

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="execute code that lies in a protected page",
    steps=(
        # MOV EAX, 5EC2E7C0H; RET
        "write:8:page:c35ec2e7c0b8 protect:page:1000 hit=smm.call:page"
    ),
    judge=ran("hit", 0x5EC2E7C0),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="EPT of the SMI handler: nothing but its SMRAM is executable",
)
