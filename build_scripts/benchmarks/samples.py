# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Samples of an image, and what is said about many of them: median and quartiles."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

_SAMPLE = re.compile(
    r"SAMPLE name=(?P<name>\S+) ept=(?P<ept>\S+) pages=(?P<pages>\d+) "
    r"rounds=(?P<rounds>0x[0-9a-f]+) ticks=(?P<ticks>0x[0-9a-f]+)"
)
_CLOCK = re.compile(r"CLOCK ticks=(0x[0-9a-f]+) ns=(0x[0-9a-f]+)")


@dataclass(frozen=True, order=True)
class What:
    """What was measured: a loop, under which EPT (none, 2m, 4k), with how many touched pages."""

    name: str
    ept: str = "none"
    pages: int = 0


@dataclass(frozen=True)
class Sample:
    """So many rounds took so many ticks of the time-stamp counter."""

    what: What
    rounds: int
    ticks: int


@dataclass(frozen=True)
class Log:
    """What one image measured; `ns_per_tick` by the clock of the board."""

    samples: tuple[Sample, ...]
    ns_per_tick: float

    def whats(self) -> list[What]:
        """What was measured, in the order of the log."""
        return list(dict.fromkeys(sample.what for sample in self.samples))

    def of(self, what: What) -> list[Sample]:
        """The samples of one loop."""
        return [sample for sample in self.samples if sample.what == what]

    def nanoseconds(self, what: What) -> Spread:
        """Time of one round."""
        return spread(sample.ticks * self.ns_per_tick / sample.rounds for sample in self.of(what))

    def instructions(self, what: What) -> int:
        """Instructions of one round: what twice the rounds take more, so that the frame around them drops out.

        Only of a run with ``-icount shift=0``, where a tick is an instruction.

        Raises:
            ValueError: the counts do not fit a fixed number for each round.
        """
        counts = sorted({(sample.rounds, sample.ticks) for sample in self.of(what)})
        if len(counts) == 2 and counts[0][0] < counts[1][0]:
            (few, less), (many, more) = counts
            each, rest = divmod(more - less, many - few)
            if not rest:
                return each
        raise ValueError(f"{what}: not the same number of instructions in each round: {counts}")


def read_log(text: str) -> Log:
    """Reads the SAMPLE and CLOCK lines of an image.

    Raises:
        ValueError: there is none of either.
    """
    samples = tuple(
        Sample(What(m["name"], m["ept"], int(m["pages"])), int(m["rounds"], 16), int(m["ticks"], 16))
        for m in _SAMPLE.finditer(text)
    )
    clock = _CLOCK.search(text)
    if not samples or clock is None:
        raise ValueError("the image printed no SAMPLE or no CLOCK line")
    return Log(samples, int(clock[2], 16) / int(clock[1], 16))


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some values."""

    median: float
    low: float
    high: float
    count: int

    def as_json(self) -> dict[str, float]:
        """The numbers, rounded to what they are worth."""
        return {
            "median": float(f"{self.median:.5g}"),
            "low": float(f"{self.low:.5g}"),
            "high": float(f"{self.high:.5g}"),
            "count": self.count,
        }


def spread(values: Iterable[float]) -> Spread:
    """Of at least one value."""
    chosen = list(values)
    if len(chosen) == 1:
        return Spread(chosen[0], chosen[0], chosen[0], 1)
    low, median, high = statistics.quantiles(chosen, n=4, method="inclusive")
    return Spread(median, low, high, len(chosen))
