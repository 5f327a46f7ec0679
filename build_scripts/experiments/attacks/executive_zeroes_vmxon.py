# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor takes its VMXON region from under the STM."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, survived

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have the STM fail at its return from SMM: a VMXON region without revision identifier",
    steps="before=read:4:vmxon write:4:vmxon:0 smi after=read:4:vmxon write:4:vmxon:$before",
    judge=survived("after"),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the STM puts the revision identifier back",
    reason="without an STM the region means nothing to an SMI",
)
