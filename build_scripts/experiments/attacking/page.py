# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Writes the table of docs/reference/attacks.rst; the rest of that page is written by hand."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from build_scripts.experiments.attacking.attack import Column
from build_scripts.pages import escaped, render, replace_generated

_WORDS = {"succeeded": "**succeeded**", "blocked": "blocked", "not-applicable": "", None: "not seen"}


def generated(facts: dict[str, Any]) -> str:
    """The tables of one run, one for each attacker."""
    groups = []
    for attacker, attacks in groupby(facts["attacks"], key=lambda attack: attack["attacker"]):
        cells = [
            [
                f"``{attack['name']}``",
                escaped(attack["goal"]),
                *(_WORDS[attack[column.value]] for column in Column),
                escaped("; ".join(filter(None, (attack["stopped_by"], attack["reason"])))),
            ]
            for attack in attacks
        ]
        groups.append((f"Attacker: {attacker}", cells))
    return render("attacks.rst.j2", groups=groups)


def update(page: Path, facts: dict[str, Any]) -> None:
    """Replace the generated part of the page.

    Raises:
        LabError: there is no such page, or it has no such part.
    """
    replace_generated(page, generated(facts))
