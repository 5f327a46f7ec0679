# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor spoils its current VMCS before an SMI."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, survived

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have the STM fail at its return from SMM: a current VMCS without revision identifier",
    steps=(
        "vmclear:guestvmcs vmptrld:guestvmcs before=read:4:guestvmcs write:4:guestvmcs:0 smi "
        "after=read:4:guestvmcs write:4:guestvmcs:$before vmclear:guestvmcs"
    ),
    judge=survived("after"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM returns without a current VMCS",
    reason="without an STM the region means nothing to an SMI",
)
