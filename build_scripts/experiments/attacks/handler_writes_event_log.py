# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler removes its traces from the event log."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, NONE, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="change the event log of the STM, which is memory of the executive monitor",
    steps=(
        "write:8:page2:100000001 write:8:page2+8:area vmcall:10008:page2:0:0 protect:area:1000 "
        f"before=read:8:area+f00 hit=smm.write:8:area+f00:$before!{MARK:x} after=read:8:area+f00 "
        "write:8:page2:6 vmcall:10008:page2:0:0"
    ),
    judge=changed("before", "after", "hit"),
    expects=(NONE, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="the log is memory like any other: to protect it is for the executive monitor; without an STM there is none",
)
