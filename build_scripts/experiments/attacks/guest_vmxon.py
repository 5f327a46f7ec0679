# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest enters VMX operation."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="execute VMXON",
    steps="hit=vmxon:page",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#UD: the executive monitor shows its guest no VMX",
    reason="no VMX is shown, STM or not",
    place=Place.GUEST,
)
