# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rules of the STM API and the tests that reach them: tests/unit/stm_api_rules.toml, and the page made of them.

``python3 -m tests.support.stm_rules`` writes docs/reference/stm-api-rules.rst.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import stm_orders
from tests.support.stm_interface import calls, named_statuses

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests/unit/stm_api_rules.toml"
PAGE = ROOT / "docs/reference/stm-api-rules.rst"

EXECUTIVE = (
    *("INITIALIZE_PROTECTION", "START", "STOP", "PROTECT_RESOURCE", "UNPROTECT_RESOURCE", "GET_BIOS_RESOURCES"),
    *("MANAGE_VMCS_DATABASE", "MANAGE_EVENT_LOG"),
)
HANDLER = ("MAP_ADDRESS_RANGE", "UNMAP_ADDRESS_RANGE", "ADDRESS_LOOKUP", "RETURN_FROM_PROTECTION_EXCEPTION")
# What a rule may be about beside a call: its calls, and the heading of its table.
GROUPS: dict[str, tuple[tuple[str, ...], str]] = {
    "all": ((*EXECUTIVE, *HANDLER), "Every call"),
    "executive": (EXECUTIVE[3:], "The calls that name a page"),
    "list": (("PROTECT_RESOURCE", "UNPROTECT_RESOURCE"), "Lists of PROTECT_RESOURCE and UNPROTECT_RESOURCE"),
    "psd": ((), "The firmware's PSD, and the frame of a protection exception"),
    "none": ((), "Statuses of no call"),
}
ORDER = ("all", "executive", *EXECUTIVE[:5], "list", *EXECUTIVE[5:], *HANDLER, "psd", "none")
_SMI = {
    "default": "the default treatment",
    "pending": "nobody: it waits",
    "stm": "the STM",
}
_HEAD = """\
.. SPDX-License-Identifier: BSD-2-Clause-Patent
.. Written by python3 -m tests.support.stm_rules from tests/unit/stm_api_rules.toml and tests/machine/stm/orders.toml.

Rules of the STM API, and their tests
=====================================

:doc:`stm-api` says how the STM behaves. Here is each rule that EDK II's ``StmApi.h`` and
``StmResourceDescriptor.h`` give for a parameter or a status of a call, with the tests that
reach it or the reason why nothing can. Unit tests compare the tables with the headers: every
status that a call's description names, every register that it takes and every member of its
structures stands in a row, and every code of ``StmStatusCode.h``; each test that is named is
there, and knows the code. Both tables are written from the words of the headers and not from
the STM's code, and the STM answers to them.

Calls in each state
-------------------

The real STM is asked for every row (``tests/machine/stm/test_orders.py``), and so is its code on
the host, with three processors (``tests/host/test_orders.py``). Parameters are good ones. Each
row also says what an SMI meets afterwards, and that nothing else has changed.
"""
_OTHERS = """\

While another processor is initialized or started, INITIALIZE_PROTECTION and START succeed on one
that is off; all other answers are the same, whatever the other processors' states are.
"""
_HANDLER = """\

From the SMI handler's code, where the STM runs it:
"""
_RULES = """\

Rules
-----

A status with + is one that ``StmApi.h`` does not name for the call.
"""


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    Attributes:
        call: of StmApi.h, or a key of GROUPS.
        status: empty if the rule is about none.
        members: "STRUCTURE.Member" and "CALL.REGISTER".
        reason: why no test reaches it; empty if tests do.
    """

    call: str
    rule: str
    status: str = ""
    members: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    reason: str = ""

    @property
    def of_calls(self) -> tuple[str, ...]:
        """The calls that the rule is about."""
        return GROUPS[self.call][0] if self.call in GROUPS else (self.call,)

    @property
    def named(self) -> bool:
        """StmApi.h names the status for one of the calls; those of a reset are named in its text."""
        if not self.status or self.status.startswith("STM_CRASH") or self.call in ("none", "psd"):
            return True
        return any(self.status in named_statuses()[call] for call in self.of_calls)


@cache
def load() -> tuple[Rule, ...]:
    """All rows, in the file's order.

    Raises:
        TypeError: a key is missing or unknown.
    """
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["rule"]
    return tuple(map(_rule, rows))


def _rule(row: dict[str, Any]) -> Rule:
    kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Rule(**kept)


def _table(widths: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield from ("", ".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", "")
    for row in (head, *rows):
        for place, cell in enumerate(row):
            first, *more = cell.split("\n")
            yield f"   {'*' if place == 0 else ' '} - {first}".rstrip()
            yield from (f"       {line}" for line in more)


def _matrix() -> Iterator[str]:
    orders = stm_orders.load()
    states = tuple(dict.fromkeys(row.state for row in orders.executive))
    answers = {(row.call, row.state): row for row in orders.executive}

    def cell(call: str, state: str) -> str:
        row = answers[call, state]
        return f"``{row.status}``" + (f",\nthen {row.following}" if row.following != state else "")

    def rows() -> Iterator[tuple[str, ...]]:
        for call in dict.fromkeys(row.call for row in orders.executive):
            yield _title(call), *(cell(call, state) for state in states)
        smi = {row.state: row.smi for row in orders.executive}
        yield "An SMI meets", *(_SMI[smi[state]] for state in states)

    head = tuple(f"{state}: {orders.meanings[state]}" for state in states)
    yield from _table("25 25 25 25", ("Call", *head), rows())


def _title(call: str) -> str:
    """A call as a table's first column has it."""
    if call == "UNKNOWN":
        return "a number of nobody's"
    return f"{call} ({calls()[call]:X}H)"


def _contexts() -> Iterator[str]:
    orders = stm_orders.load()
    contexts = tuple(dict.fromkeys(row.context for row in orders.handler))
    answers = {(row.call, row.context): row.status for row in orders.handler}

    def rows() -> Iterator[tuple[str, ...]]:
        for call in dict.fromkeys(row.call for row in orders.handler):
            yield _title(call), *(f"``{answers[call, context]}``" for context in contexts)

    yield from _table("24 19 19 19 19", ("Call", *(orders.meanings[context] for context in contexts)), rows())


def _rules(call: str) -> Iterator[str]:
    title = GROUPS[call][1] if call in GROUPS else call
    yield from ("", f".. dropdown:: {title}")

    def rows() -> Iterator[tuple[str, ...]]:
        for rule in load():
            if rule.call == call:
                status = f"``{rule.status}``{'' if rule.named else ' +'}" if rule.status else ""
                tests = ",\n".join(f"``{test}``" for test in rule.tests)
                yield rule.rule, status, tests or f"None: {rule.reason[0].lower()}{rule.reason[1:]}"

    table = _table("40 24 36", ("Rule", "Status", "Test"), rows())
    yield from (f"   {line}" if line else "" for line in table)


def page() -> str:
    """The page's text."""
    lines = [_HEAD.rstrip("\n"), *_matrix(), _OTHERS.rstrip("\n"), _HANDLER.rstrip("\n"), *_contexts()]
    lines += [_RULES.rstrip("\n"), *(line for call in ORDER for line in _rules(call))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
