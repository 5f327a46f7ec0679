# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler executes code outside SMRAM, which anyone can have written."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, ran

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="execute code outside SMRAM",
    steps=(
        # MOV EAX, 5EC2E7C0H; RET
        "write:8:page2:c35ec2e7c0b8 hit=smm.call:page2"
    ),
    judge=ran("hit", 0x5EC2E7C0),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="EPT of the SMI handler: nothing but its SMRAM is executable",
)
