# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The logical processors of a platform: one carries out an operation, and may send an IPI to the other."""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.model.operations import Operation
from build_scripts.model.processor import Observation, Processor
from build_scripts.model.state import EndsHere, MsegHeader

Seen = tuple[Observation | None, ...]
"""What the programs of each processor find behind an operation; None where the program has not changed."""


@dataclass(frozen=True)
class Happened:
    """What an operation has done.

    waiting: processors on which no program runs before a start-up IPI.
    """

    seen: Seen
    waiting: frozenset[int]


class Platform:
    """One or two logical processors.

    Each has VMX operation, treatment, SMM-transfer VMCS, 9BH and SMBASE of its own (DM-INT-41, DM-ENA-21), and VMCSs
    that the other never uses.  The MSEG header is one for both.
    """

    def __init__(self, *monitor_ctl: int) -> None:
        header = MsegHeader()
        self.processors = tuple(Processor(value, number, header) for number, value in enumerate(monitor_ctl))

    @property
    def waiting(self) -> frozenset[int]:
        """Processors on which no program runs before a start-up IPI."""
        return frozenset(number for number, processor in enumerate(self.processors) if processor.state.waits)

    def perform(self, operation: Operation) -> Happened:
        """Carry out an operation, and all that follows on either processor.

        Raises:
            EndsHere: no program would run on any processor, or nothing says which.
        """
        actor = operation.processor
        if actor in self.waiting:
            raise EndsHere("no program runs on this processor")
        seen: list[Observation | None] = [None] * len(self.processors)
        seen[actor] = self.processors[actor].perform(operation)
        if operation.other:
            seen[1 - actor] = self.processors[1 - actor].receive(operation)
        waiting = self.waiting
        if len(waiting) == len(self.processors):
            raise EndsHere("nobody is left to send a start-up IPI")
        return Happened(tuple(seen), waiting)
