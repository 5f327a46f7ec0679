# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler makes the interrupted side continue elsewhere."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, left_behind

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have the interrupted side execute other code after RSM (RIP in the save state)",
    steps=(
        # MOV DWORD [RIP + 36H], 0BADC0FFEH; JMP [RIP]; and behind it the RIP that was there, so that all goes on.
        "write:8:page2:ffe0000003605c7 write:8:page2+8:25ffbadc hit=smm.redirect:ff78:page2:page2+10 "
        "after=read:4:page2+40"
    ),
    judge=left_behind("after", 0xBADC0FFE),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="the interface gives an SMI handler RIP, as emulation of I/O by SMIs needs it",
)
