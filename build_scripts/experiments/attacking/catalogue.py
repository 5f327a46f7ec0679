# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Finds the attacks: whatever module of ``build_scripts/experiments/attacks`` there is."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from build_scripts.experiments import attacks
from build_scripts.experiments.attacking.attack import Attack, Attacker


@cache
def all_attacks() -> dict[str, Attack]:
    """Name to attack: by attacker, then by name."""
    found: dict[str, Attack] = {}
    for module in pkgutil.iter_modules(attacks.__path__):
        made = importlib.import_module(f"{attacks.__name__}.{module.name}").ATTACK
        assert isinstance(made, Attack), module.name
        found[module.name.replace("_", "-")] = made
    order = list(Attacker)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1].attacker), item[0])))
