# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The guest opens legacy SMRAM."""

from dataclasses import replace

from build_scripts.experiments.attacking.attack import Attacker, Place
from build_scripts.experiments.attacks.executive_opens_smram import ATTACK as BY_EXECUTIVE

ATTACK = replace(BY_EXECUTIVE, attacker=Attacker.GUEST, place=Place.GUEST)
