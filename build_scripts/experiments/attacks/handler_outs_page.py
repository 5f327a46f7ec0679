# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler lets OUTS send memory of the executive monitor to a port."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="send a page of the executive monitor to a port with OUTS",
    steps="protect:page:1000 hit=smm.outs:80:page:4",
    judge=executed("hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
