# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler moves SMBASE to memory that anyone can write, so that the next SMI runs an attacker's code."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Column
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, left_behind

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have the next SMI run code outside SMRAM (SMBASE in the save state)",
    steps=(
        # In real mode: MOV DWORD [CS:FF00H], old SMBASE; RSM. It runs at SMBASE + 8000H, which is area.
        "old=smm.saved:4:ff00 write:4:area:06c72e66 write:2:area+4:ff00 write:4:area+6:$old write:2:area+a:aa0f "
        "hit=smm.save:4:ff00:area-8000 smi proof=read:4:area+7efc"
    ),
    judge=left_behind("proof", 0x20064),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="the STM accepts no SMBASE outside TSEG: it crashes and resets the platform",
    crashes={Column.UNPROTECTED: "bad-state", Column.PROTECTED: "bad-state"},
)
