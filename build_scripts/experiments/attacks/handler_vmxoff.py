# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler ends VMX operation."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, executed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="execute VMXOFF",
    steps="hit=smm.vmxoff",
    judge=executed("hit"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="#UD: an SMI handler is never in VMX root operation",
    reason="under the default treatment SMM is outside VMX operation, under the STM it is VMX non-root operation",
)
