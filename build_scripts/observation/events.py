# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The one parser of records: text records of firmware, STM, executive and tools, and the machine's trace.

The grammar is in docs/reference/records.rst. Unknown keys are kept; a line that
breaks the grammar is an error with its number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote

from build_scripts.machine.processors import STREAMS

MACHINE_LOG = "machine.log"
RECORD_LOGS = tuple(name for name, port in STREAMS.items() if port != 0x402)
NO_ICOUNT = -1
# Who writes to which port: a record in another log is forged.
_WRITERS = {"stm.log": {"STM"}, "executive.log": {"EXEC"}, "records.log": {"FW", "APP"}}

_RECORD = re.compile(r"(FW|STM|EXEC|APP): ev=([a-z0-9-]+) t=(\d+)((?: [a-z0-9_]+=\S*)*)")
# The last two keys may hold a phrase.
_TRACE = re.compile(
    r"(?:\d+@\d+\.\d+:)?((?:vmx|smm)_[a-z0-9_]+)((?: [a-z0-9_]+=\S*)*?)"
    r"(?: demand=(?P<demand>.+?) section=(?P<section>.+))?"
)
_NUMBERS = ("cpu", "t", "icount", "vmcs", "exec_vmcs", "reason", "qual", "rip")
_PAIR = re.compile(r"([a-z0-9_]+)=(\S*)")


class RecordError(ValueError):
    """A line breaks the grammar."""

    def __init__(self, log: str, number: int, line: str, why: str) -> None:
        super().__init__(f"{log}:{number}: {why}: {line!r}")
        self.log = log
        self.number = number


class Mode(StrEnum):
    """Where a processor is, in the machine's words."""

    NONE = "none"
    ROOT = "root"
    GUEST = "guest"
    SMM = "smm"
    STM = "stm"
    HANDLER = "handler"


class Kind(StrEnum):
    """Kinds of transition."""

    VMXON = "vmxon"
    VMXOFF = "vmxoff"
    ENTRY = "entry"
    EXIT = "exit"
    ENTRY_FAILURE = "entry-failure"
    ACTIVATE = "activate"
    SMM_EXIT = "smm-exit"
    HANDLER_ENTRY = "handler-entry"
    HANDLER_EXIT = "handler-exit"
    SMM_RETURN = "smm-return"
    SMM_DEACTIVATE = "smm-deactivate"
    SMI = "smi"
    RSM = "rsm"


@dataclass(frozen=True)
class Record:
    """One text record.

    Attributes:
        source: ``FW``, ``STM``, ``EXEC`` or ``APP``.
        event: its name.
        t: time-stamp counter without offset.
        fields: every key after ``t``, values as written.
        place: log and line number, for messages.
    """

    source: str
    event: str
    t: int
    fields: dict[str, str]
    place: str = ""

    def number(self, key: str) -> int:
        """A decimal or 0x-hexadecimal value.

        Raises:
            RecordError: the key is absent or holds something else.
        """
        text = self.fields.get(key)
        try:
            return int(text or "", 0)
        except ValueError:
            log, _, line = self.place.rpartition(":")
            raise RecordError(log, int(line or 0), f"{self.event} {key}={text}", "not a number") from None

    def text(self, key: str, default: str = "") -> str:
        """A value with its percent-encoding undone."""
        return unquote(self.fields.get(key, default))

    def __str__(self) -> str:
        """The record's line."""
        pairs = "".join(f" {key}={value}" for key, value in self.fields.items())
        return f"{self.source}: ev={self.event} t={self.t}{pairs}"


@dataclass(frozen=True)
class Transition:
    """One VMX transition, as the machine saw it.

    Attributes:
        icount: executed instructions, or `NO_ICOUNT`.
        reason: the full exit-reason field; 0 for entries.
        rip: of the interrupted or entered guest.
    """

    cpu: int
    t: int
    icount: int
    kind: Kind
    source: Mode
    target: Mode
    vmcs: int
    exec_vmcs: int
    reason: int
    qualification: int
    rip: int
    line: int = 0

    @property
    def basic_reason(self) -> int:
        """The basic exit reason, bits 15:0."""
        return self.reason & 0xFFFF


@dataclass(frozen=True)
class MachineEvent:
    """Another event of the machine's trace, such as ``vmx_vmfail``."""

    name: str
    fields: dict[str, str]
    line: int = 0


@dataclass(frozen=True)
class Refusal:
    """A check that failed, and with it a VMX instruction or a transition.

    Attributes:
        instruction: such as ``VMLAUNCH``; ``-`` for a VMX abort.
        result: how it shows, such as ``VMfailValid-7``, ``#UD``, ``exit-reason-33`` or ``VMX-abort-4``.
        rule: its id in the tables of the conformance pages, such as ``VMX-GST-02``.
        field: what was looked at, such as the VMCS field ``GUEST_CR0``.
        value: what it holds.
        demand: what it should hold, a phrase.
        section: where the SDM says so, title and number.
    """

    cpu: int
    t: int
    instruction: str
    result: str
    rule: str
    field: str
    value: int
    demand: str
    section: str
    line: int = 0

    def __str__(self) -> str:
        """What failed, how it shows, and the check behind it, in words."""
        what = "VM exit" if self.instruction == "-" else self.instruction
        return (
            f"processor {self.cpu}: {what} failed ({self.result}) by {self.rule}: {self.field} is {self.value:#x}; "
            f"demanded: {self.demand}; SDM volume 3, {self.section}"
        )


Event = Transition | Refusal | MachineEvent


def _lines(text: str, log: str) -> list[tuple[int, str]]:
    """Numbered lines without the empty ones; a last line without its end is an error."""
    if text and not text.endswith("\n"):
        lines = text.splitlines()
        raise RecordError(log, len(lines), lines[-1], "the line is incomplete")
    return [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def parse_record(line: str, log: str = "", number: int = 0) -> Record:
    """Parse one text record.

    Raises:
        RecordError: it breaks the grammar.
    """
    match = _RECORD.fullmatch(line)
    if match is None:
        raise RecordError(log, number, line, "not a record")
    pairs = _PAIR.findall(match[4])
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RecordError(log, number, line, "a key appears twice")
    return Record(match[1], match[2], int(match[3]), fields, f"{log}:{number}")


def parse_record_of(line: str, log: str, number: int = 0) -> Record:
    """Parse one text record of a run's log, whose writer has that log's port.

    Raises:
        RecordError: it breaks the grammar, or its source has another port.
    """
    record = parse_record(line, log, number)
    if record.source not in _WRITERS[log]:
        raise RecordError(log, number, line, f"forged: {record.source} does not write to this port")
    return record


def parse_records(text: str, log: str = "") -> list[Record]:
    """Parse a log of text records, in the log's order."""
    return [parse_record(line, log, number) for number, line in _lines(text, log)]


def _refusal(match: re.Match[str], fields: dict[str, str], log: str, number: int, line: str) -> Refusal:
    try:
        cpu, t, value = (int(fields[key], 0) for key in ("cpu", "t", "value"))
        return Refusal(
            cpu, t, fields["insn"], fields["result"], fields["rule"], fields["field"], value,
            match["demand"] or "", match["section"] or "", number,
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise RecordError(log, number, line, f"bad refusal ({error})") from None


def parse_trace_line(line: str, log: str = MACHINE_LOG, number: int = 0) -> Event:
    """Parse one event of the machine.

    Raises:
        RecordError: it breaks the grammar.
    """
    match = _TRACE.fullmatch(line)
    if match is None:
        raise RecordError(log, number, line, "not an event of the machine")
    fields = dict(_PAIR.findall(match[2]))
    if match[1] == "vmx_refusal":
        return _refusal(match, fields, log, number, line)
    if match[1] != "vmx_transition":
        return MachineEvent(match[1], fields, number)
    try:
        values = {key: int(fields[key], 0) for key in _NUMBERS}
        kind, source, target = Kind(fields["kind"]), Mode(fields["from"]), Mode(fields["to"])
    except (KeyError, ValueError) as error:
        raise RecordError(log, number, line, f"bad transition ({error})") from None
    return Transition(
        values["cpu"], values["t"], values["icount"], kind, source, target,
        values["vmcs"], values["exec_vmcs"], values["reason"], values["qual"], values["rip"], number,
    )  # fmt: skip


def parse_trace(text: str, log: str = MACHINE_LOG) -> list[Event]:
    """Parse the machine's trace, in its order."""
    return [parse_trace_line(line, log, number) for number, line in _lines(text, log)]


@dataclass(frozen=True)
class Stream:
    """Everything that one run recorded.

    Attributes:
        records: text records of all sources, by time.
        machine: the machine's events, in its order.
        errors: lines that could not be read.
    """

    records: tuple[Record, ...]
    machine: tuple[Event, ...] = ()
    errors: tuple[RecordError, ...] = ()

    @property
    def transitions(self) -> list[Transition]:
        """The transitions alone."""
        return [event for event in self.machine if isinstance(event, Transition)]

    @property
    def refusals(self) -> list[Refusal]:
        """The checks that failed."""
        return [event for event in self.machine if isinstance(event, Refusal)]

    def of(self, source: str, event: str) -> list[Record]:
        """The records of one source and name, by time."""
        return [record for record in self.records if record.source == source and record.event == event]

    def first(self, source: str, event: str) -> Record | None:
        """The first of them, or None."""
        return next(iter(self.of(source, event)), None)


def read_stream(run_dir: Path) -> Stream:
    """Read all logs of a run directory; what breaks the grammar goes to `errors`."""
    records: list[Record] = []
    machine: list[Event] = []
    errors: list[RecordError] = []
    for name in (*RECORD_LOGS, MACHINE_LOG):
        path = run_dir / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="backslashreplace")
        try:
            numbered = _lines(text, name)
        except RecordError as error:
            errors.append(error)
            numbered = _lines(text[: text.rfind("\n") + 1], name)
        for number, line in numbered:
            try:
                if name == MACHINE_LOG:
                    machine.append(parse_trace_line(line, name, number))
                else:
                    records.append(parse_record_of(line, name, number))
            except RecordError as error:
                errors.append(error)
    return Stream(tuple(sorted(records, key=lambda record: record.t)), tuple(machine), tuple(errors))
