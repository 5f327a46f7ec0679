# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An SMI handler writes a record that looks like the STM's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker
from build_scripts.experiments.attacking.verdicts import BLOCKED, SUCCEEDED, forged
from build_scripts.experiments.attacking.words import forged_record, text

ATTACK = Attack(
    attacker=Attacker.HANDLER,
    goal="write a record to the STM's port",
    steps=f"{text('area', forged_record('handler'))} smm.outs:403:area:{len(forged_record('handler')):x}",
    judge=forged("handler"),
    expects=(SUCCEEDED, BLOCKED, BLOCKED),
    stopped_by="I/O bitmap of the SMI handler: the STM's record port",
)
