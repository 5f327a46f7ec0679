# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Shows a run to a person: its story in order of time, and the closing table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table

from build_scripts.observation.events import Kind, Record, Stream, Transition
from build_scripts.observation.report import REASON_IO_SMI, Report, Smi

_WIDTH = 110


def console() -> Console:
    """The console of results; wide enough for the tables when stdout is no terminal."""
    made = Console(highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(highlight=False, width=_WIDTH)
    return made


def _status(record: Record) -> str:
    fields = record.fields
    line = f"firmware: state={fields.get('state')} reason={fields.get('reason')}"
    line += f", MSEG {fields.get('mseg_base')} + {fields.get('mseg_size')}"
    return f"{line}\n   STM image SHA-256 {fields.get('image_sha256')}"


def _call(record: Record) -> str:
    names = {0x10007: "INITIALIZE_PROTECTION", 0x10001: "START", 0x10002: "STOP"}
    api = record.number("api")
    return f"executive monitor: VMCALL {names.get(api, hex(api))}, status {record.fields.get('status')}"


# What of the records is part of the story, and how it reads.
_TOLD: dict[tuple[str, str], Callable[[Record], str]] = {
    ("FW", "status"): _status,
    ("APP", "script"): lambda record: f"shell: {record.text('cmd')}",
    ("EXEC", "vmxon"): lambda record: "executive monitor: VMXON",
    ("EXEC", "stm-call"): _call,
    ("EXEC", "launch"): lambda record: "executive monitor: VMLAUNCH, the Shell goes on as its guest",
    ("EXEC", "unavailable"): lambda record: f"executive monitor: not started, {record.fields.get('reason')}",
    ("EXEC", "no-stm"): lambda record: f"executive monitor: going on without an STM, {record.fields.get('reason')}",
    ("EXEC", "leave"): lambda record: "executive monitor: leaving",
    ("EXEC", "vmxoff"): lambda record: "executive monitor: VMXOFF, the Shell goes on without it",
    ("EXEC", "crash"): str,
    ("STM", "init"): lambda record: f"STM: activated, static MSEG SHA-256 {record.fields.get('mseg_sha256')}",
    ("STM", "start"): lambda record: "STM: started, SMIs are its own from here",
    ("STM", "stop"): lambda record: f"STM: stopped after {record.fields.get('smis')} SMIs",
    ("STM", "crash"): str,
    ("APP", "variable"): lambda record: (
        f"variable {record.text('name')}: written={record.fields.get('written')} "
        f"read_back={record.fields.get('read_back')}"
    ),
    ("APP", "smi-count"): lambda record: f"SMI count (MSR 34H): {record.fields.get('value')}",
}


def _arrow(event: Transition) -> str:
    match event.kind:
        case Kind.SMM_EXIT:
            return "SMM VM exit (I/O SMI)" if event.basic_reason == REASON_IO_SMI else "SMM VM exit (SMI)"
        case Kind.HANDLER_ENTRY:
            return "entry to handler"
        case Kind.HANDLER_EXIT:
            return "RSM exit" if event.basic_reason == 17 else f"exit {event.basic_reason} at {event.rip:#x}"
        case Kind.SMM_RETURN:
            return f"return to {event.target.value}"
    return event.kind.value


def _smi_line(index: int, cause: str, smi: Smi) -> str:
    if smi.dual_monitor:
        return f"SMI {index} ({cause}): " + " > ".join(_arrow(event) for event in smi.events)
    return f"SMI {index} ({cause}): default treatment, no VMX transition"


def story(report: Report, stream: Stream) -> Iterable[str]:
    """The lines of the run, in order of time."""
    told: list[tuple[int, int, str]] = []
    for order, record in enumerate(stream.records):
        words = _TOLD.get((record.source, record.event))
        if words is not None:
            told.append((record.t, order, words(record)))
    for index, (cause, smi) in enumerate(report.smis):
        told.append((smi.t, index, _smi_line(index, cause, smi)))
    return [text for _t, _order, text in sorted(told)]


def _median(values: list[int]) -> str:
    return f"{statistics.median(values):,.0f}" if values else "-"


def closing_table(report: Report) -> Table:
    """One line for each treatment and cause."""
    table = Table(title="SMIs of the demonstration")
    for heading in ("treatment", "cause"):
        table.add_column(heading)
    for heading in ("SMIs", "transitions", "extra exits", "STM instr.", "handler instr.", "total instr."):
        table.add_column(heading, justify="right")
    groups: dict[tuple[str, str], list[Smi]] = {}
    for cause, smi in report.smis:
        groups.setdefault(("dual-monitor" if smi.dual_monitor else "default", cause), []).append(smi)
    for (treatment, cause), smis in groups.items():
        transitions = sorted({smi.transitions for smi in smis})
        counts = [smi.instructions for smi in smis if smi.instructions is not None]
        table.add_row(
            treatment,
            cause,
            str(len(smis)),
            ", ".join(map(str, transitions)),
            str(sum(len(smi.extra_exits) for smi in smis)),
            _median([count.stm for count in counts]),
            _median([count.handler for count in counts]),
            _median([count.total for count in counts]),
        )
    if groups:
        table.caption = "instructions: median of each group"
    return table


def show(report: Report, stream: Stream, out: Console) -> None:
    """Print the story and the closing table."""
    for line in story(report, stream):
        out.print(line, markup=False)
    out.print()
    if report.smis:
        out.print(closing_table(report))
        for index, (cause, smi) in enumerate(report.smis):
            for extra in smi.extra_exits:
                out.print(f"extra exit of SMI {index} ({cause}): reason {extra.reason}, RIP {extra.rip:#x}")
    else:
        out.print("No SMI was traced: this QEMU has no VMX. SMIs were served under the default treatment.")
    out.print(
        f"SMI count {report.smi_count if report.smi_count is not None else 'unknown'}; variables written "
        f"{report.written}, read back {report.read_back}; activations of the STM {report.activations}"
    )
