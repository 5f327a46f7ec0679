# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A share of a long run: ``--shard i/n``, so that many hosts make it together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Number `index` of `count` shares, counted from 1."""

    index: int = 1
    count: int = 1

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every count-th of the items; the shares together have each once."""
        return items[self.index - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()


def parse(text: str) -> Shard:
    """A share as the command line writes it.

    Raises:
        ValueError: that is none.
    """
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise ValueError(f"'{text}' is not a share such as 1/4")
    return Shard(int(first), int(second))


def missing_or_twice(shards: Iterable[Shard]) -> str:
    """What is wrong with shares that are to make a whole, in one sentence; empty if nothing is."""
    given = list(shards)
    counts = sorted({shard.count for shard in given})
    if len(counts) != 1:
        return f"shares of {' and of '.join(map(str, counts))} do not belong together"
    indices = [shard.index for shard in given]
    if twice := sorted({index for index in indices if indices.count(index) > 1}):
        return f"share {twice[0]}/{counts[0]} is there twice"
    if missing := [index for index in range(1, counts[0] + 1) if index not in indices]:
        return f"share {missing[0]}/{counts[0]} is missing"
    return ""
