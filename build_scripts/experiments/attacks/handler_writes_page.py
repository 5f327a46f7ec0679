# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes memory that belongs to the executive monitor."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="write a page of the executive monitor",
    steps=f"protect:page:1000 before=read:8:page hit=smm.write:8:page:{MARK:x} after=read:8:page",
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
