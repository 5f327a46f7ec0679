# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes a record that looks like the executive monitor's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, forged
from build_scripts.experiments.attacking.words import forged_record, text

_LINE = forged_record("guest-as-executive", "EXEC")

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="write a record to the executive monitor's port",
    steps=f"{text('area', _LINE)} outs:404:area:{len(_LINE):x}",
    judge=forged("guest-as-executive"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="the port is open to everybody: nothing that the STM is judged by comes from there",
    place=Place.GUEST,
)
