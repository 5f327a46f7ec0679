# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler puts a device's registers where SMRAM is."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, changed, moved
from build_scripts.experiments.attacking.words import EDU, decoded, put_back

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="have a device answer for SMRAM (its BAR moved onto TSEG)",
    steps=(
        f"before=smm.read:8:tseg {decoded()} smm.out:4:cf8:8000{EDU:x}10 hit=smm.out:4:cfc:tseg "
        f"after=smm.read:8:tseg {put_back()}"
    ),
    judge=moved(changed("before", "after")),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the chipset: memory below TOLUD comes before PCI, whatever a BAR says",
    reason="a BAR over memory hides nothing",
)
