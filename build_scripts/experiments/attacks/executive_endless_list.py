# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor gives the STM a list without an end."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have the STM read beyond the page of a list",
    steps=(
        "write:8:page2:2000000001 write:8:page2+8:100000 write:8:page2+10:1000 write:8:page2+18:7 "
        "copy:page2:page2+20:20 copy:page2:page2+40:40 copy:page2:page2+80:80 copy:page2:page2+100:100 "
        "copy:page2:page2+200:200 copy:page2:page2+400:400 copy:page2:page2+800:800 "
        "hit=vmcall:10003:page2:0:0"
    ),
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM: a list ends in its page, or is malformed",
    reason="without an STM there is nobody to call",
)
