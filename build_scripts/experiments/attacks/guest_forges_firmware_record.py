# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes a record that looks like the firmware's."""

from build_scripts.experiments.attacking.attack import Attack, Attacker, Place
from build_scripts.experiments.attacking.verdicts import SUCCEEDED, forged
from build_scripts.experiments.attacking.words import forged_record, text

_LINE = forged_record("guest-as-firmware", "FW")

ATTACK = Attack(
    attacker=Attacker.GUEST,
    goal="write a record as the firmware does, to the port of firmware and tools",
    steps=f"{text('area', _LINE)} outs:405:area:{len(_LINE):x}",
    judge=forged("guest-as-firmware"),
    expects=(SUCCEEDED, SUCCEEDED, SUCCEEDED),
    reason="the port is open to everybody, and the tools of the Shell share it with the firmware",
    place=Place.GUEST,
)
