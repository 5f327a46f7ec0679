# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The tables of rules and the ids in the images fit each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts.conformance import choices
from build_scripts.conformance.image_build import IMAGES
from build_scripts.conformance.rules import SUITES, known_rules, load

SOURCES = sorted(path for kind in ("*.[ch]", "*.asm") for path in IMAGES.glob(kind))
# An id of a table; checks of defects of stock QEMU, and of devices of the lab, have ids of their own.
RULE_ID = re.compile(r'"((?:VMX|DM)-[A-Z]+-\d+)"')
FIRST_ARGUMENT = re.compile(r'\b(?:check|check_eq|check_vmx|not_offered|expect_shutdown)\(\s*"([^"]*)"')
OWN_ID = re.compile(r"(?:SDM|ICH9|LAB)-[A-Z0-9-]+")


def _named() -> set[str]:
    return {name for path in SOURCES for name in RULE_ID.findall(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_id_is_a_rule(path: Path) -> None:
    """A check names a rule of a table, or a defect of stock QEMU, or a device of the lab."""
    text = path.read_text(encoding="utf-8")
    known = known_rules()
    ids = {*RULE_ID.findall(text), *FIRST_ARGUMENT.findall(text)}
    assert not {name for name in ids if name not in known and not OWN_ID.fullmatch(name)}


@pytest.mark.parametrize("suite", SUITES)
def test_every_rule_has_a_check(suite: str) -> None:
    """A rule without a check is marked in the table."""
    named = _named()
    marked = {r.id for r in load(suite).rules.values() if r.untestable or r.unconfirmed or r.untested}
    assert not {*load(suite).rules} - named - marked


@pytest.mark.parametrize("suite", SUITES)
def test_reasons_are_true(suite: str) -> None:
    """A rule that is said to have no check has none, and one reason is enough."""
    named = _named()
    for rule in load(suite).rules.values():
        assert [bool(rule.untestable), bool(rule.unconfirmed), rule.untested].count(True) <= 1, rule.id
        assert "no check" not in rule.unconfirmed, f"{rule.id}: that is untested"
        if rule.untestable or rule.untested:
            assert rule.id not in named, rule.id


@pytest.mark.parametrize("suite", SUITES)
def test_every_choice_has_a_check(suite: str) -> None:
    """What the manual leaves open is tested as this machine's choice."""
    rules = load(suite).rules.values()
    assert {rule.id for rule in rules if rule.unconfirmed} - _named() == set()
    assert all(rule.choice.endswith(".") for rule in rules if rule.unconfirmed)


def test_page_of_choices_is_current(checkout: Path) -> None:
    """It is what choices.page() makes of the tables."""
    assert (checkout / "docs" / "reference" / "choices.rst").read_text(encoding="utf-8") == choices.page()


@pytest.mark.parametrize("suite", SUITES)
def test_table(suite: str) -> None:
    """Statements are sentences, ids are numbered without gaps within an area."""
    table = load(suite)
    for rule in table.rules.values():
        assert rule.text.endswith((".", "?", ")")), rule.id
    if suite == "vmx":
        assert len(table.rules) > 400
        for area in table.areas:
            numbers = [int(name.split("-")[2]) for name in table.rules if name.split("-")[1] == area]
            assert numbers == list(range(1, len(numbers) + 1)), area
