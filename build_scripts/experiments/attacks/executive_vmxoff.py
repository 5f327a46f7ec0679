# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor leaves VMX operation behind the STM's back."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, answered

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="execute VMXOFF while the STM is active",
    steps="hit=vmxoff",
    judge=answered("hit"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the processor: VMXOFF fails while the dual-monitor treatment is active",
    reason="without an STM it is the executive monitor's right",
)
