# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table of calls and states: tests/machine/stm/orders.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.stm_interface import UNKNOWN, calls, statuses

FILE = Path(__file__).resolve().parents[1] / "machine/stm/orders.toml"


@dataclass(frozen=True)
class Executive:
    """A call of the executive monitor in a state of its processor.

    Attributes:
        smi: what an SMI meets in the state: default, pending or stm.
        following: the state after the call.
    """

    state: str
    smi: str
    call: str
    status: str
    following: str

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.state}.{self.call}"

    @property
    def number(self) -> int:
        """EAX of the call."""
        return number_of(self.call)

    @property
    def value(self) -> int:
        """EAX of the answer."""
        return statuses()[self.status]


@dataclass(frozen=True)
class Handler:
    """A call of the SMI handler's code."""

    context: str
    call: str
    status: str

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.context}.{self.call}"

    @property
    def number(self) -> int:
        """EAX of the call."""
        return number_of(self.call)

    @property
    def value(self) -> int:
        """EAX of the answer."""
        return statuses()[self.status]


@dataclass(frozen=True)
class Orders:
    """All rows.

    Attributes:
        others: status and following state of a call of a processor that is off, while another is not.
        meanings: of each state and each context.
    """

    executive: tuple[Executive, ...]
    handler: tuple[Handler, ...]
    others: dict[str, tuple[str, str]]
    meanings: dict[str, str]


def number_of(call: str) -> int:
    """EAX of a call that a row names."""
    return UNKNOWN if call == "UNKNOWN" else calls()[call]


@cache
def load() -> Orders:
    """The table."""
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    executive, handler, meanings = [], [], {}
    for state, row in data["executive"].items():
        meanings[state], smi = row.pop("means"), row.pop("smi")
        executive += [Executive(state, smi, call, status, following) for call, (status, following) in row.items()]
    for context, row in data["handler"].items():
        meanings[context] = row.pop("means")
        handler += [Handler(context, call, status) for call, status in row.items()]
    others = {call: (status, following) for call, (status, following) in data["others"].items()}
    return Orders(tuple(executive), tuple(handler), others, meanings)
