# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every table of the lab fits 80 columns, and no word or number in it is cut."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from build_scripts.conformance import engine
from build_scripts.conformance.rules import SUITES, load
from build_scripts.observation import show

COLUMNS = 80


def rendered(table: Table, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("status", list(engine.Status))
def test_conformance(suite: str, status: engine.Status) -> None:
    """With every rule in one column, so that the numbers are as wide as they become."""
    rules = load(suite)
    table = engine.summary(rules, [engine.Verdict(rule, status) for rule in rules.rules.values()])
    lines = rendered(table, COLUMNS)
    assert max(map(len, lines)) <= COLUMNS
    words = {word for line in lines for word in line.split()}
    expected = " ".join([*rules.areas.values(), *engine.Status, "area", "rules", "all", str(len(rules.rules))])
    assert set(expected.split()) <= words


def test_console_obeys_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS counts where stdout is no terminal; a pipe without it is wide enough for a line for each SMI."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert show.console().width == COLUMNS
    monkeypatch.delenv("COLUMNS")
    assert show.console().width > COLUMNS


def test_tables_are_made_in_one_place(checkout: Path) -> None:
    """A table of another kind would escape the tests here."""
    made = [
        path.name
        for path in sorted((checkout / "build_scripts").rglob("*.py"))
        if re.search(r"\bTable\(", path.read_text(encoding="utf-8"))
    ]
    assert made == ["tables.py"]
