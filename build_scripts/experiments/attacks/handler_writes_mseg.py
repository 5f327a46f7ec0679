# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, SUCCEEDED, stored

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="write the last page of MSEG, where the STM keeps its data",
    steps=f"hit=smm.write:8:mseg+1ffff0:{MARK:x} after=smm.read:8:mseg+1ffff0",
    judge=stored("hit", "after"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="EPT of the SMI handler: MSEG is not in it",
)
