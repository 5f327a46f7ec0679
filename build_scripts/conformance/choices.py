# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Writes docs/reference/choices.rst from the rules that the manual leaves open."""

from __future__ import annotations

from build_scripts.conformance.rules import known_rules
from build_scripts.pages import escaped, render


def page() -> str:
    """The whole page: every such rule, what is open, and what this machine does."""
    rules = [
        {
            "id": rule.id,
            "text": escaped(rule.text),
            "section": escaped(rule.section),
            "why": escaped(rule.unconfirmed[0].upper() + rule.unconfirmed[1:]),
            "choice": escaped(rule.choice),
        }
        for rule in known_rules().values()
        if rule.unconfirmed
    ]
    return render("choices.rst.j2", rules=rules)
