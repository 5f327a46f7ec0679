# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler prepares VMX operation of its own."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="set CR4.VMXE",
    steps="before=smm.rdcr:4 hit=smm.wrcr:4:$before!2000 smm.wrcr:4:$before",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#GP: CR4.VMXE cannot be set in SMM",
    reason="the processor refuses it under the default treatment, the STM refuses it its guest",
)
