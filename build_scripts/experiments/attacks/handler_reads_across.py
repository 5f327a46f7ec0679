# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler reads 8 bytes of which only the last 4 are protected."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, stolen

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="read a protected page by an access that begins on the page before",
    steps="write:4:page2:5ec2e7c0 protect:page2:1000 loot=smm.read:8:page2-4",
    judge=stolen("loot", 0x5EC2E7C000000000),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
