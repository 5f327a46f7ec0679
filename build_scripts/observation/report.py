# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From the stream of records to the facts of a run: which SMI, how many transitions, whose instructions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from build_scripts.machine.processors import Configuration
from build_scripts.observation.event_log import Domain, StmEvent, domains_of, events_of
from build_scripts.observation.events import NO_ICOUNT, Kind, Record, Stream, Transition

# SDM "Basic VMX Exit Reasons".
VMX_REASON_IO_SMI = 5
VMX_REASON_OTHER_SMI = 6
VMX_REASON_RSM = 17
VMX_REASON_VMCALL = 18
PLAIN_TRANSITIONS = 4

CAUSES = ("port-b2", "variable", "ipi", "hlt")


@dataclass(frozen=True)
class ExtraExit:
    """An exit of the SMI handler other than RSM."""

    reason: int
    rip: int


@dataclass(frozen=True)
class Instructions:
    """Executed instructions of one SMI.

    Attributes:
        stm: from the SMM VM exit to the entry, and from each exit of the handler to the next entry.
        handler: between.
        total: from the first transition to the last.
    """

    stm: int
    handler: int
    total: int


@dataclass(frozen=True)
class Smi:
    """One SMI under either treatment, with the events that belong to it.

    Attributes:
        dual_monitor: the treatment.
        events: under dual monitor all its VMX transitions, else SMI and RSM.
        complete: whether its end was seen.
    """

    dual_monitor: bool
    events: tuple[Transition, ...]
    complete: bool = True

    @property
    def cpu(self) -> int:
        """The processor."""
        return self.events[0].cpu

    @property
    def t(self) -> int:
        """When it began, in the guest's time-stamp counter."""
        return self.events[0].t

    @property
    def transitions(self) -> int:
        """VMX transitions; none under the default treatment."""
        return len(self.events) if self.dual_monitor else 0

    @property
    def extra_exits(self) -> tuple[ExtraExit, ...]:
        """Exits of the handler other than RSM."""
        return tuple(
            ExtraExit(event.basic_reason, event.rip)
            for event in self.events
            if event.kind == Kind.HANDLER_EXIT and event.basic_reason != VMX_REASON_RSM
        )

    @property
    def plain(self) -> bool:
        """Whether it took exactly the four transitions that the architecture demands, in their order."""
        kinds = [event.kind for event in self.events]
        return kinds == [Kind.SMM_EXIT, Kind.HANDLER_ENTRY, Kind.HANDLER_EXIT, Kind.SMM_RETURN]

    @property
    def instructions(self) -> Instructions | None:
        """Instruction counts, or None if they were not counted."""
        if not self.complete or any(event.icount == NO_ICOUNT for event in self.events):
            return None
        total = self.events[-1].icount - self.events[0].icount
        inside = (Kind.HANDLER_ENTRY,) if self.dual_monitor else (Kind.SMI,)
        handler = sum(
            after.icount - before.icount
            for before, after in zip(self.events, self.events[1:], strict=False)
            if before.kind in inside
        )
        return Instructions(total - handler, handler, total)


_ENDS = {Kind.SMM_EXIT: (Kind.SMM_RETURN, Kind.SMM_DEACTIVATE), Kind.SMI: (Kind.RSM,)}


def _begins(event: Transition) -> bool:
    # A VMCALL under the treatment is an SMM VM exit too, but no SMI.
    smi = event.kind == Kind.SMM_EXIT and event.basic_reason in (VMX_REASON_IO_SMI, VMX_REASON_OTHER_SMI)
    return smi or event.kind == Kind.SMI


class SmiGrouper:
    """Collects the transitions of each SMI, processor by processor, as they come."""

    def __init__(self) -> None:
        self._opened: dict[int, list[Transition]] = {}

    def take(self, event: Transition) -> list[Smi]:
        """Take the next transition of a run; returns the SMIs that it ends."""
        events = self._opened.get(event.cpu)
        if _begins(event):
            self._opened[event.cpu] = [event]
            return [] if events is None else [_smi(events, False)]
        if events is None:
            return []
        events.append(event)
        if event.kind not in _ENDS[events[0].kind]:
            return []
        return [_smi(self._opened.pop(event.cpu), True)]

    def left(self) -> list[Smi]:
        """Those whose end has not come."""
        return [_smi(events, False) for events in self._opened.values()]


def _smi(events: list[Transition], complete: bool) -> Smi:
    return Smi(events[0].kind == Kind.SMM_EXIT, tuple(events), complete)


def group_smis(transitions: Iterable[Transition]) -> list[Smi]:
    """Collect the transitions of each SMI, processor by processor, in the order they began."""
    grouper = SmiGrouper()
    found = [smi for event in transitions for smi in grouper.take(event)]
    return sorted([*found, *grouper.left()], key=lambda smi: smi.t)


@dataclass(frozen=True)
class Window:
    """A stretch of time in which SmiTool raised SMIs.

    Attributes:
        cause: how, one of `CAUSES` or ``other``.
        begin: the time-stamp counter then.
        end: likewise.
        counted: by how much MSR 34H grew, if the tool said so.
    """

    cause: str
    begin: int
    end: int
    counted: int | None = None


def windows(records: Iterable[Record]) -> list[Window]:
    """The stretches between ``smi-begin`` and ``smi-end`` records; one without an end is left out."""
    found = []
    begin: Record | None = None
    for record in records:
        if record.source != "APP":
            continue
        if record.event == "smi-begin":
            begin = record
        elif record.event == "smi-end" and begin is not None:
            cause = begin.text("cause", "other")
            counted = record.number("counted") if "counted" in record.fields else None
            found.append(Window(cause if cause in CAUSES else "other", begin.t, record.t, counted))
            begin = None
    return found


def attribute(smis: Iterable[Smi], stretches: list[Window]) -> list[tuple[str, Smi]]:
    """The SMIs of the demonstration with their causes; others, such as the Shell's own, are left out."""
    return [(stretch.cause, smi) for smi in smis for stretch in stretches if stretch.begin <= smi.t <= stretch.end]


def _unless_dash(record: Record, key: str) -> str | None:
    value = record.fields.get(key, "-")
    return None if value == "-" else value


@dataclass(frozen=True)
class Traced:
    """How many SMIs the machine traced under each treatment."""

    dual_monitor: int
    default: int

    @classmethod
    def count(cls, smis: list[Smi]) -> Traced:
        """Count them."""
        dual = sum(smi.dual_monitor for smi in smis)
        return cls(dual, len(smis) - dual)


@dataclass(frozen=True)
class Report:
    """The facts of one run.

    Attributes:
        configuration: which processor.
        status: the firmware's status record.
        smis: (cause, SMI) of the demonstration.
        traced: all SMIs that the machine traced, those of the firmware and the Shell too.
        smi_count: MSR 34H at the end.
        events: entries of the STM's event log that were read.
        domains: what was put into the STM's VMCS database.
    """

    configuration: Configuration
    status: Record | None
    smis: tuple[tuple[str, Smi], ...]
    traced: Traced
    smi_count: int | None
    written: int
    read_back: int
    activations: int
    events: tuple[StmEvent, ...] = ()
    domains: tuple[Domain, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The facts in the shape of the schema's definition ``boot``."""
        status = self.status
        return {
            "configuration": self.configuration.value,
            "firmware": None
            if status is None
            else {
                "state": status.text("state"),
                "reason": status.text("reason"),
                "mseg_base": status.number("mseg_base"),
                "mseg_size": status.number("mseg_size"),
                "processors_fit": status.number("processors_fit"),
                "image_source": status.text("image_source"),
                "image_problem": _unless_dash(status, "image_problem"),
                "image_sha256": _unless_dash(status, "image_sha256"),
                "mseg_sha256": _unless_dash(status, "mseg_sha256"),
            },
            "smis": [_smi_json(index, cause, smi) for index, (cause, smi) in enumerate(self.smis)],
            "smi_count": self.smi_count,
            "variables": {"written": self.written, "read_back": self.read_back},
            "activations": self.activations,
            "stm_events": [event.as_json() for event in self.events],
            "domains": [domain.as_json() for domain in self.domains],
        }


def _smi_json(index: int, cause: str, smi: Smi) -> dict[str, Any]:
    counts = smi.instructions
    return {
        "index": index,
        "cpu": smi.cpu,
        "treatment": "dual-monitor" if smi.dual_monitor else "default",
        "cause": cause,
        "transitions": smi.transitions,
        "extra_exits": [{"reason": extra.reason, "rip": extra.rip} for extra in smi.extra_exits],
        "instructions": None
        if counts is None
        else {"stm": counts.stm, "handler": counts.handler, "total": counts.total},
    }


def build_report(stream: Stream, configuration: Configuration) -> Report:
    """The facts that a stream of records holds.

    Raises:
        events.RecordError: a record lacks a number that it must have.
    """
    traced = group_smis(stream.transitions)
    counts = stream.of("APP", "smi-count")
    variables = stream.of("APP", "variable")
    return Report(
        configuration=configuration,
        status=stream.first("FW", "status"),
        smis=tuple(attribute(traced, windows(stream.records))),
        traced=Traced.count(traced),
        smi_count=counts[-1].number("value") if counts else None,
        written=sum(record.number("written") for record in variables),
        read_back=sum(record.number("read_back") for record in variables),
        activations=sum(event.kind == Kind.ACTIVATE for event in stream.transitions),
        events=tuple(events_of(stream)),
        domains=tuple(domains_of(stream)),
    )
