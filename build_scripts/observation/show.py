# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Shows a run to a person: its story in order of time, and the closing table."""

from __future__ import annotations

import os
import statistics
import textwrap
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table

from build_scripts.machine.processors import Configuration
from build_scripts.observation.event_log import domain_words, event_words
from build_scripts.observation.events import Kind, Record, Stream, Transition
from build_scripts.observation.exits import ExitCounts
from build_scripts.observation.names import EXIT_REASONS, shell_status
from build_scripts.observation.report import VMX_REASON_IO_SMI, Report, Smi
from build_scripts.tables import compact_table

# Of a pipe or a file, which has no width of its own.
_WIDTH = 110


class _Results(Console):
    """rich ends the process itself if its reader has left; here the command line does, with the status for it."""

    def on_broken_pipe(self) -> None:
        """Pass it on."""
        raise BrokenPipeError


def console() -> Console:
    """The console of results: as wide as the terminal, or as COLUMNS says."""
    made = _Results(highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made = _Results(highlight=False, width=_WIDTH)
    return made


def tell(out: Console, text: str) -> None:
    """Print text wrapped between words, each line's continuation indented; a longer word is never cut."""
    for line in text.splitlines() or [""]:
        wrapped = textwrap.wrap(
            line, out.width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False,
            drop_whitespace=True, replace_whitespace=False,
        )  # fmt: skip
        for part in wrapped or [""]:
            out.print(part, markup=False, soft_wrap=True)


def _status(record: Record) -> str:
    fields = record.fields
    line = f"firmware: state={fields.get('state')} reason={fields.get('reason')}"
    line += f", MSEG {fields.get('mseg_base')} + {fields.get('mseg_size')}"
    passed = ", passed by fw_cfg" if fields.get("image_source") == "fw-cfg" else ""
    refused = "\n    this firmware takes no STM image from fw_cfg: it is not built for the lab"
    line += refused if fields.get("reason") == "override-forbidden" else ""
    problem = fields.get("image_problem", "-")
    line += "" if problem == "-" else f"\n    the image's {problem.replace(':', ': ')}"
    return f"{line}\n    STM image SHA-256{passed}\n    {fields.get('image_sha256')}"


def _command_status(record: Record) -> str:
    status = record.number("status")
    return f"    the Shell's status is {shell_status(status)}" if status else ""


def _call(record: Record) -> str:
    names = {
        0x10007: "INITIALIZE_PROTECTION",
        0x10001: "START",
        0x10002: "STOP",
        0x10003: "PROTECT_RESOURCE",
        0x10004: "UNPROTECT_RESOURCE",
        0x10005: "GET_BIOS_RESOURCES",
        0x10006: "MANAGE_VMCS_DATABASE",
        0x10008: "MANAGE_EVENT_LOG",
    }
    api = record.number("api")
    return f"executive monitor: VMCALL {names.get(api, hex(api))}, status {record.fields.get('status')}"


def _exits(record: Record) -> str:
    counts = ExitCounts.parse(record).counts
    words = [f"{EXIT_REASONS.get(reason, reason)} {count:,}" for reason, count in sorted(counts.items())]
    return f"executive monitor: VM exits so far: {', '.join(words)}"


# What of the records is part of the story, and how it reads; an empty text is left out.
_TOLD: dict[tuple[str, str], Callable[[Record], str]] = {
    ("FW", "status"): _status,
    ("FW", "protection-exception"): lambda record: (
        f"firmware: its SMI handler touched what is protected, {record.text('kind')} violation at "
        f"{record.fields.get('rip')}; it gives up"
    ),
    ("APP", "script"): lambda record: f"shell: {record.text('cmd')}",
    ("APP", "script-status"): _command_status,
    ("EXEC", "vmxon"): lambda record: "executive monitor: VMXON",
    ("EXEC", "stm-call"): _call,
    ("EXEC", "launch"): lambda record: "executive monitor: VMLAUNCH, the Shell continues as its guest",
    ("EXEC", "unavailable"): lambda record: f"executive monitor: not started, {record.fields.get('reason')}",
    ("EXEC", "no-stm"): lambda record: f"executive monitor: continues without an STM, {record.fields.get('reason')}",
    ("EXEC", "leave"): lambda record: "executive monitor: leaves VMX operation",
    ("EXEC", "vmxoff"): lambda record: "executive monitor: VMXOFF, the Shell continues without it",
    ("EXEC", "exits"): _exits,
    ("EXEC", "event"): event_words,
    ("EXEC", "event-log"): lambda record: (
        f"STM's event log: {record.fields.get('entries')} of {record.fields.get('places')} places in use"
    ),
    ("EXEC", "domain"): domain_words,
    ("EXEC", "crash"): str,
    ("STM", "init"): lambda record: (
        f"STM: activated, static part of MSEG has SHA-256\n    {record.fields.get('mseg_sha256')}"
    ),
    ("STM", "start"): lambda record: "STM: started, SMIs now cause SMM VM exits to it",
    ("STM", "stop"): lambda record: f"STM: stopped after {record.fields.get('smis')} SMIs",
    ("STM", "crash"): str,
    ("APP", "variable"): lambda record: (
        f"variable {record.text('name')}: written={record.fields.get('written')} "
        f"read_back={record.fields.get('read_back')}"
    ),
    ("APP", "sleep-begin"): lambda record: (
        f"shell: to S3: SLP_TYP {record.fields.get('type')} and SLP_EN to port {record.fields.get('port')}, waking "
        f"vector {record.fields.get('vector')}"
    ),
    ("APP", "sleep-end"): lambda record: f"shell: standby: {record.text('result')}",
    ("APP", "monitor"): lambda record: f"shell: VMCALL to the executive monitor: {record.text('answer')}",
    ("APP", "stm-status"): lambda record: (
        f"shell: the status table says {record.text('state')}, {record.text('reason')}, "
        f"wakes {record.fields.get('wakes')}"
    ),
    ("APP", "smm-monitor-ctl"): lambda record: (
        f"shell: processor {record.fields.get('processor')}: MSR 9BH = {record.fields.get('value')}"
    ),
    ("EXEC", "power"): lambda record: (
        f"executive monitor: {record.text('event')} intercepted, leaves on every processor"
    ),
    ("EXEC", "sleep"): lambda record: (
        f"executive monitor: waking vector {record.fields.get('guest_vector')} in the FACS exchanged for its own, "
        f"{record.fields.get('vector')}"
    ),
    ("EXEC", "wake"): lambda record: (
        f"executive monitor: awake before the guest, whose waking vector is {record.fields.get('guest_vector')}"
    ),
    ("APP", "smi-count"): lambda record: f"SMI count (MSR 34H): {record.fields.get('value')}",
}


def _arrow(event: Transition) -> str:
    match event.kind:
        case Kind.SMM_EXIT:
            return "SMM VM exit (I/O SMI)" if event.basic_reason == VMX_REASON_IO_SMI else "SMM VM exit (SMI)"
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


def live_line(smi: Smi) -> str:
    """An SMI in a line that fits 80 columns behind the lab's name, for who watches a run."""
    words = []
    if smi.dual_monitor:
        kind = "I/O" if smi.events[0].basic_reason == VMX_REASON_IO_SMI else "other"
        words += [kind, f"{smi.transitions} transitions"]
        words += [f"{len(smi.extra_exits)} extra"] if smi.extra_exits else []
    else:
        words.append("default treatment")
    counts = smi.instructions
    if counts is not None:
        words += [f"STM {counts.stm:,}"] if smi.dual_monitor else []
        words.append(f"handler {counts.handler:,} instr.")
    return f"SMI CPU {smi.cpu}: {', '.join(words if smi.complete else [*words, 'no end'])}"


# So many failures are told of one by one; a guest may try for ever.
_MOST_REFUSALS = 10


def words_of(record: Record) -> str:
    """How a record reads in the story; empty if it is no part of it."""
    words = _TOLD.get((record.source, record.event))
    return words(record) if words is not None else ""


def story(report: Report, stream: Stream) -> Iterable[str]:
    """The lines of the run, in order of time."""
    told: list[tuple[int, int, str]] = []
    for order, record in enumerate(stream.records):
        if words := words_of(record):
            told.append((record.t, order, words))
    for index, (cause, smi) in enumerate(report.smis):
        told.append((smi.t, index, _smi_line(index, cause, smi)))
    for index, refusal in enumerate(stream.refusals[:_MOST_REFUSALS]):
        told.append((refusal.t, index, str(refusal)))
    if (left := len(stream.refusals) - _MOST_REFUSALS) > 0:
        told.append((stream.refusals[-1].t, left, f"{left:,} more checks failed; machine.log has them"))
    return [text for _t, _order, text in sorted(told)]


def _median(values: list[int]) -> str:
    return f"{statistics.median(values):,.0f}" if values else "-"


def closing_table(report: Report) -> Table:
    """One line for each treatment and cause."""
    table = compact_table(
        "SMIs that SmiTool raised",
        words=("treatment", "cause"),
        numbers=("SMIs", "transitions", "extra\nexits", "STM\ninstr.", "handler\ninstr.", "total\ninstr."),
    )
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
        table.caption_justify = "left"
    return table


def traced(report: Report) -> str:
    """Which SMIs the run saw beside those of the table, or why the table is empty."""
    if report.configuration is Configuration.STOCK:
        said = report.status.text("reason") if report.status is not None else ""
        known = f"; the firmware found no dual-monitor treatment ({said})" if said else ""
        return f"No SMI is listed: the machine's trace exists only in the lab's QEMU, not in the distribution's{known}."
    dual, default = report.traced.dual_monitor, report.traced.default
    if not dual + default:
        return "The machine traced no SMI."
    text = (
        f"The machine traced {dual + default:,} SMIs from reset to the end: {dual:,} under the dual-monitor "
        f"treatment, {default:,} under the default treatment."
    )
    if not report.smis:
        return f"{text} None of them was raised by SmiTool, whose SMIs a table would list."
    others = dual + default - len(report.smis)
    return (
        f"{text} SmiTool raised {len(report.smis):,}; the other {others:,} are the firmware's and the Shell's, "
        "to which each access to a UEFI variable is an SMI."
    )


def show(report: Report, stream: Stream, out: Console) -> None:
    """Print the story and the closing table."""
    for line in story(report, stream):
        tell(out, line)
    out.print()
    if report.smis:
        out.print(closing_table(report))
        for index, (cause, smi) in enumerate(report.smis):
            for extra in smi.extra_exits:
                name = EXIT_REASONS.get(extra.reason, "unknown")
                tell(out, f"extra exit of SMI {index} ({cause}): reason {extra.reason} ({name}), RIP {extra.rip:#x}")
    if report.status is None:
        tell(out, "The firmware reported no status: it did not get that far.")
    tell(out, traced(report))
    count = "not read" if report.smi_count is None else f"{report.smi_count:,}"
    tell(out, f"SMI count (MSR 34H) as SmiTool read it: {count}")
    tell(out, f"UEFI variables: {report.written} written, {report.read_back} read back")
    tell(out, f"activations of the STM: {report.activations}")
