# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The list of mutants: ``mutants/*.toml``, one file a part of the project."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The parts, in the order of what a mutant costs.
PARTS = ("lab", "host", "stm", "machine", "firmware")
# Of these, the parts that are built before their tests run.
BUILT = PARTS[2:]


class StaleMutantError(ValueError):
    """The text that a mutant changes is not, or not only once, where the list says."""


@dataclass(frozen=True)
class Mutant:
    """One small fault.

    Attributes:
        part: the file of the list.
        name: unique among all.
        file: what is changed, relative to the checkout.
        old: text that stands there exactly once.
        new: what replaces it.
        tests: the narrowest tests that should notice, as pytest takes them.
        survives: why no test of the ordinary suite can notice; empty for all others.
    """

    part: str
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    survives: str = ""

    def applied(self, text: str) -> str:
        """The file's text with the fault.

        Raises:
            StaleMutantError: the old text does not stand there exactly once.
        """
        count = text.count(self.old)
        if count != 1:
            raise StaleMutantError(f"mutant {self.part}/{self.name} is stale: its text is {count} times in {self.file}")
        return text.replace(self.old, self.new)


def load(part: str) -> list[Mutant]:
    """The mutants of one part.

    Raises:
        ValueError: a key is missing or unknown.
    """
    with (HERE / "mutants" / f"{part}.toml").open("rb") as file:
        rows = tomllib.load(file)["mutant"]
    try:
        return [Mutant(part=part, **{**row, "tests": tuple(row["tests"])}) for row in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{part}.toml: {error}") from error


def load_all() -> list[Mutant]:
    """The mutants of all parts."""
    return [mutant for part in PARTS for mutant in load(part)]
