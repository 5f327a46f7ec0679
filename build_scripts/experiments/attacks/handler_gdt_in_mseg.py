# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler names MSEG as its GDT, which the STM reads at the next SMI."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Column
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, survived

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have the STM read a GDT from MSEG (the processor SMM descriptor)",
    steps="smm.save:8:fb48:mseg smi",
    judge=survived("-"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM reads a GDT from the handler's own SMRAM only: it crashes and resets the platform",
    reason="without an STM the descriptor means nothing",
    crashes={Column.UNPROTECTED: "bad-state", Column.PROTECTED: "bad-state"},
)
