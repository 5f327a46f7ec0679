# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes a record that looks like the STM's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import BLOCKED, forged
from build_scripts.experiments.attacking.words import forged_record, text

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="write a record to the STM's port",
    steps=f"{text('area', forged_record('guest'))} outs:403:area:{len(forged_record('guest')):x}",
    judge=forged("guest"),
    expects=(BLOCKED, BLOCKED, BLOCKED),
    stopped_by="the machine: its debug console for the STM takes only what code in SMM writes",
    reason="the console is closed to everybody outside SMM, STM or not",
    place=Place.GUEST,
)
