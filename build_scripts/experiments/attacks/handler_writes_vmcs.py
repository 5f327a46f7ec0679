# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes the VMCS of the executive monitor's guest."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, MARK, SUCCEEDED, changed

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="write the VMCS of the executive monitor's guest",
    steps=(
        "protect:guestvmcs:1000 before=read:8:guestvmcs+ff8 "
        f"hit=smm.write:8:guestvmcs+ff8:$before!{MARK:x} after=read:8:guestvmcs+ff8"
    ),
    judge=changed("before", "after", "hit"),
    expects=(SUCCEEDED, SUCCEEDED, BLOCKED),
    stopped_by="EPT of the SMI handler: the page is protected",
    reason="what nobody asks the STM to protect is open to the handler",
)
