# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor puts a device's registers where MSEG is, and raises an SMI."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, NONE, moved, survived
from build_scripts.experiments.attacking.words import decoded, put_back

ATTACK = Attack(
    attacker=Attacker.EXECUTIVE,
    goal="have the STM's instructions come from a device (its BAR moved onto MSEG)",
    steps=f"{decoded()} hit=out:4:cfc:mseg smi seen=in:4:cfc {put_back()}",
    judge=moved(survived("seen")),
    expects=(NONE, BLOCKED, BLOCKED),
    stopped_by="the chipset: memory below TOLUD comes before PCI, whatever a BAR says",
    reason="a BAR over memory hides nothing; without an STM nobody runs what is in MSEG",
)
