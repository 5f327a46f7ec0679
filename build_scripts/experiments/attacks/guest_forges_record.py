# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes a record that looks like the STM's."""

from dataclasses import replace

from build_scripts.experiments.attacking.attack import Attacker, Place
from build_scripts.experiments.attacking.verdicts import forged
from build_scripts.experiments.attacks.executive_forges_record import ATTACK as BY_EXECUTIVE
from build_scripts.experiments.attacks.executive_forges_record import steps

ATTACK = replace(BY_EXECUTIVE, attacker=Attacker.GUEST, place=Place.GUEST, steps=steps("guest"), judge=forged("guest"))
