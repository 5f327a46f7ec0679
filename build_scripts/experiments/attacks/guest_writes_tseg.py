# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest writes SMRAM in every width."""

from dataclasses import replace

from build_scripts.experiments.attacking.attack import Attacker, Place
from build_scripts.experiments.attacks.executive_writes_tseg import ATTACK as BY_EXECUTIVE

ATTACK = replace(BY_EXECUTIVE, attacker=Attacker.GUEST, place=Place.GUEST)
