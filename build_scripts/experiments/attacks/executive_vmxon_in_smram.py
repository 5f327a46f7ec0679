# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor puts its VMXON region into SMRAM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="enter VMX operation with a VMXON region in SMRAM",
    steps="cr4=rdcr:4 wrcr:4:$cr4!2000 hit=vmxon:tseg+1000 wrcr:4:$cr4",
    judge=answered("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="TSEG: VMXON reads ones there, which are no revision identifier",
    reason="nothing outside SMM reaches TSEG, STM or not",
    place=Place.NATIVE,
)
