# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the sources of the images must not contain: checks that cannot fail, and one observation for two rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts import paths

TESTS = paths.CHECKOUT / "tests" / "machine"
SOURCES = sorted(path for folder in ("images", "stm") for path in (TESTS / folder).glob("*.c"))
CALL = re.compile(r"\b(check|check_eq)\s*\(")
RULE = re.compile(r'"(VMX|DM)-[A-Z]+-\d+"')
# Calls that look and change nothing: what they give twice is one observation.
PURE = {"rd", "rdmsr", "phys", "vmptrst", "read32", "read64", "read_cr0", "read_cr4", "read_dr6", "read_dr7", "sizeof"}
CONSTANT = re.compile(r"!?\(?(true|false|\d+|0x[0-9A-Fa-f]+)u?\)?")
# A check of what must not be reached says false, in a place of its own.
UNREACHED = "false"


@dataclass(frozen=True)
class Check:
    """One call of check() or check_eq(): its place in the text, its line, the rule and what is compared."""

    begin: int
    end: int
    line: int
    rule: str
    observed: tuple[str, ...]

    @property
    def suite(self) -> str:
        match = RULE.fullmatch(self.rule)
        return match[1] if match else ""

    @property
    def pure(self) -> bool:
        return set(re.findall(r"(\w+)\s*\(", " ".join(self.observed))) <= PURE


def _arguments(text: str, begin: int) -> tuple[list[str], int]:
    """The arguments of a call whose parenthesis is open, and where it ends."""
    found, start, depth, position = [], begin, 1, begin
    quoted = False
    while depth:
        letter = text[position]
        if quoted:
            position += letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        if not quoted and (depth == 0 or (letter == "," and depth == 1)):
            found.append(" ".join(text[start:position].split()))
            start = position + 1
        position += 1
    return found, position


def checks(text: str) -> Iterator[Check]:
    """Every call in a source."""
    for match in CALL.finditer(text):
        arguments, end = _arguments(text, match.end())
        observed = arguments[2:3] if match[1] == "check" else arguments[2:4]
        yield Check(match.start(), end, text.count("\n", 0, match.start()) + 1, arguments[0], tuple(observed))


def constant(check: Check) -> bool:
    """Whether nothing that happens can change the result."""
    if len(check.observed) == 1:
        return check.observed[0] != UNREACHED and bool(CONSTANT.fullmatch(check.observed[0]))
    return check.observed[0] == check.observed[1] or all(CONSTANT.fullmatch(value) for value in check.observed)


def counted_twice(text: str) -> list[tuple[int, str, str]]:
    """Pairs of rules of one suite that nothing but the same observation supports."""
    found = []
    run: list[Check] = []
    for check in checks(text):
        between = re.sub(r"/\*.*?\*/", "", text[run[-1].end : check.begin], flags=re.DOTALL) if run else ""
        run = [*run, check] if run and not between.strip("; \n") else [check]
        for earlier in run[:-1]:
            same = earlier.observed == check.observed and earlier.suite == check.suite != ""
            if same and check.pure and earlier.rule != check.rule:
                found.append((check.line, earlier.rule, check.rule))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_check_is_constant(path: Path) -> None:
    """The result of a check depends on what the machine did."""
    assert [check.line for check in checks(path.read_text(encoding="utf-8")) if constant(check)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_observation_counts_twice(path: Path) -> None:
    """Two rules of one suite have two observations."""
    assert counted_twice(path.read_text(encoding="utf-8")) == []


def test_the_sources_have_checks() -> None:
    """What the two tests above look at is there."""
    assert sum(1 for path in SOURCES for _check in checks(path.read_text(encoding="utf-8"))) > 1000


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ('check("A", "n", true, "x");', True),
        ('check("A", "n", 1, "x");', True),
        ('check_eq("A", "n", 3, 3);', True),
        ('check_eq("A", "n", x, x);', True),
        ('check_eq("A", "n", x, 0);', False),
        ('check("A", "n", false, "not-reached");', False),
        ('check("A", "n", x == 1, "a,b:%d", f(1, 2));', False),
    ],
)
def test_constants_are_found(text: str, bad: bool) -> None:
    """The search itself, for constants."""
    assert [constant(check) for check in checks(text)] == [bad]


def test_pairs_are_found() -> None:
    """The search itself, for observations that count twice."""
    first, second = 'check_eq("VMX-A-1", "n", x, 0);', 'check_eq("VMX-A-2", "m", x, 0);'
    assert counted_twice(f"{first}\n/* a word */\n{second}") == [(3, '"VMX-A-1"', '"VMX-A-2"')]
    assert counted_twice(f"{first} run(); {second}") == []
    assert counted_twice(first + second.replace("VMX", "DM")) == []
    assert counted_twice((first + second).replace("x,", "guest_run(),")) == []
