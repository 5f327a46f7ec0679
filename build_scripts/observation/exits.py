# SPDX-License-Identifier: BSD-2-Clause-Patent
"""VM exits by reason: the executive monitor's own counts, and sums in which SMIs stand out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from build_scripts.observation.events import Record, RecordError, Stream
from build_scripts.observation.report import VMX_REASON_IO_SMI, VMX_REASON_OTHER_SMI, VMX_REASON_VMCALL

_COUNTS = re.compile(r"\d+:\d+(,\d+:\d+)*")


@dataclass(frozen=True)
class SmiExits:
    """How many exits have the reasons of SMIs, and how many all others."""

    io_smi: int = 0
    other_smi: int = 0
    other_reasons: int = 0

    @classmethod
    def of(cls, reasons: Iterable[int]) -> SmiExits:
        """Count basic exit reasons."""
        found = list(reasons)
        io_smi, other_smi = found.count(VMX_REASON_IO_SMI), found.count(VMX_REASON_OTHER_SMI)
        return cls(io_smi, other_smi, len(found) - io_smi - other_smi)

    def __add__(self, other: SmiExits) -> SmiExits:
        """Both together."""
        return SmiExits(
            self.io_smi + other.io_smi,
            self.other_smi + other.other_smi,
            self.other_reasons + other.other_reasons,
        )

    def __sub__(self, other: SmiExits) -> SmiExits:
        """What came since."""
        return SmiExits(
            self.io_smi - other.io_smi,
            self.other_smi - other.other_smi,
            self.other_reasons - other.other_reasons,
        )

    def as_json(self) -> dict[str, int]:
        """The schema's definition ``smi-exits``."""
        return {"io_smi": self.io_smi, "other_smi": self.other_smi, "other_reasons": self.other_reasons}


@dataclass(frozen=True)
class ExitCounts:
    """One record ``EXEC: ev=exits``: exits of the executive monitor since its launch.

    Attributes:
        t: when.
        stm: whether the STM was active.
        counts: basic exit reason to number.
    """

    t: int
    stm: bool
    counts: dict[int, int]

    @classmethod
    def parse(cls, record: Record) -> ExitCounts:
        """Read the record.

        Raises:
            RecordError: it has no counts.
        """
        text = record.text("counts")
        if not _COUNTS.fullmatch(text):
            log, _, line = record.place.rpartition(":")
            raise RecordError(log, int(line or 0), f"{record.event} counts={text}", "no pairs of reason and count")
        pairs = (pair.split(":") for pair in text.split(","))
        return cls(record.t, record.number("stm") != 0, {int(reason): int(count) for reason, count in pairs})

    def smi_exits(self) -> SmiExits:
        """The sums in which SMIs stand out."""
        io_smi, other_smi = self.counts.get(VMX_REASON_IO_SMI, 0), self.counts.get(VMX_REASON_OTHER_SMI, 0)
        return SmiExits(io_smi, other_smi, sum(self.counts.values()) - io_smi - other_smi)

    def since(self, before: ExitCounts) -> dict[int, int]:
        """Basic exit reason to number, of what came after an earlier record of the same launch."""
        grown = {reason: count - before.counts.get(reason, 0) for reason, count in self.counts.items()}
        return {reason: count for reason, count in grown.items() if count}

    def total_but_vmcall(self) -> int:
        """All exits but those by which the counts are read."""
        return sum(self.counts.values()) - self.counts.get(VMX_REASON_VMCALL, 0)


def exit_counts(stream: Stream) -> list[ExitCounts]:
    """All such records of a run, by time."""
    return [ExitCounts.parse(record) for record in stream.of("EXEC", "exits")]
