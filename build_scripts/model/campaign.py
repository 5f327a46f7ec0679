# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Many random sequences on the machine, compared with the rules; what differs is made as short as it gets."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema

from build_scripts import paths
from build_scripts.conformance.shards import Shard
from build_scripts.model import compare
from build_scripts.model.machine import Machine, Stopped
from build_scripts.model.platform import Seen
from build_scripts.model.sequences import Sequence, drawn, drawn_for_two, sequence
from build_scripts.model.state import How

SCHEMA = paths.SCHEMAS / "model-1.json"
BATCH = 500
MOST_DIFFERENCES = 5


@dataclass(frozen=True)
class Difference:
    """A sequence of which the machine and the rules say something else.

    text: the shortened sequence, with what was seen.
    """

    seed: int
    text: str


@dataclass
class Result:
    """What a campaign has done."""

    sequences: int = 0
    operations: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def count(self, one: Sequence) -> None:
        """Take in a sequence that was carried out."""
        self.sequences += 1
        self.operations += len(one.operations)
        for observation in (seen for happened in one.expected for seen in happened.seen if seen is not None):
            self.reached[f"in {observation.program}"] += 1
            if observation.how is How.START_UP:
                self.reached["start-up"] += 1
            if observation.exit is not None:
                self.reached[f"exit reason {observation.exit['reason']:x}H"] += 1
            if observation.result is not None and observation.result.failed:
                numbers = " or ".join(str(number) for number in sorted(observation.result.errors))
                self.reached[f"VMfail {numbers}".strip()] += 1
            if observation.result is not None and observation.result.fault is not None:
                self.reached[f"exception {observation.result.fault}"] += 1


class Machines:
    """One machine after the other: behind a difference the state of the last one is not to be trusted."""

    def __init__(self, qemu: Path, folder: Path, processors: int = 1, threads: str = "single") -> None:
        """Nothing is started yet.

        Args:
            qemu: the binary.
            folder: for logs.
            processors: 1 or 2.
            threads: "single", or "multi" for a thread a processor.
        """
        self.processors = processors
        self._qemu, self._folder, self._threads = qemu, folder, threads
        self._machine: Machine | None = None
        self._numbers = itertools.count()

    def get(self) -> Machine:
        """The machine that runs, or a new one."""
        if self._machine is None:
            folder = self._folder / f"machine-{next(self._numbers)}"
            folder.mkdir(parents=True)
            self._machine = Machine(self._qemu, folder, self.processors, self._threads)
        return self._machine

    def drop(self) -> None:
        """End the machine."""
        if self._machine is not None:
            self._machine.close()
            self._machine = None

    def run(self, sequences: list[Sequence]) -> list[tuple[Sequence, list[Seen]]]:
        """What was seen of the sequences, up to and with the first of which the rules say something else."""
        machine = self.get()
        try:
            seen = machine.run(sequences)
        except Stopped:
            seen = machine.observed(sequences)
        done = []
        for one, observed in zip(sequences, seen, strict=True):
            done.append((one, observed))
            if compare.first_difference(one, observed) is not None:
                self.drop()
                break
        return done


def shortened(one: Sequence, differs: Callable[[Sequence], bool]) -> Sequence:
    """A sequence without the operations that the difference does not need."""
    kept = list(one.operations[: one.drawn])
    size = max(len(kept) // 2, 1)
    while size:
        start = 0
        while start < len(kept):
            shorter = sequence([tuple(kept[:start] + kept[start + size :])], *one.monitor_ctl)
            if differs(shorter):
                one, kept = shorter, list(shorter.operations[: shorter.drawn])
            else:
                start += size
        size //= 2
    return one


def told(machines: Machines, one: Sequence, seen: list[Seen]) -> str:
    """A sequence of which the machine does something else, as short as it gets, as text.

    Args:
        seen: what was seen of it behind others; told if it does not differ alone.
    """

    def differs(shorter: Sequence) -> bool:
        ((_, found),) = machines.run([shorter])
        return compare.first_difference(shorter, found) is not None

    shortest = shortened(one, differs)
    ((_, again),) = machines.run([shortest])
    if compare.first_difference(shortest, again) is None:
        return f"{compare.told(one, seen)}\n  not seen again alone"
    return compare.told(shortest, again)


def run(machines: Machines, seeds: Iterator[int], progress: Callable[[int], None] = lambda done: None) -> Result:
    """Draw a sequence from each seed, and carry them out; ends early after some differences."""
    result = Result()
    draw = drawn if machines.processors == 1 else drawn_for_two
    while batch := list(itertools.islice(seeds, BATCH)):
        waiting = [(seed, draw(seed)) for seed in batch]
        while waiting:
            done = machines.run([one for _, one in waiting])
            for (seed, one), (_, seen) in zip(waiting, done, strict=False):
                result.count(one)
                if compare.first_difference(one, seen) is not None:
                    result.differences.append(Difference(seed, told(machines, one, seen)))
            waiting = waiting[len(done) :]
            if len(result.differences) >= MOST_DIFFERENCES:
                return result
        progress(result.sequences)
    return result


def as_json(
    result: Result, machine: str, first: int, count: int, shard: Shard, processors: int = 1
) -> dict[str, object]:
    """The facts, checked against the schema."""
    facts: dict[str, object] = {
        "schema_version": 1,
        "suite": "model",
        "machine": machine,
        "processors": processors,
        "shard": str(shard),
        "first_seed": first,
        "asked": count,
        "sequences": result.sequences,
        "operations": result.operations,
        "reached": dict(sorted(result.reached.items())),
        "differences": [{"seed": one.seed, "text": one.text} for one in result.differences],
    }
    jsonschema.validate(facts, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return facts
