# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The demonstration: its script, and what each processor must show."""

from __future__ import annotations

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.machine import Ending
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import Record, Stream
from build_scripts.observation.names import shell_status
from build_scripts.observation.report import Report

SCRIPT = (
    "StmStatus.efi",
    "ExecMon.efi start",
    "SmiTool.efi demo",
    "ExecMon.efi stop",
    "SmiTool.efi demo",
    "ExecMon.efi start",
    "SmiTool.efi demo",
    "ExecMon.efi stop",
    "SmiTool.efi count",
    "reset -s",
)
ACTIVATIONS = 2

EXPECTED_STATUS = {
    Configuration.STOCK: ("unavailable", "no-vmx"),
    Configuration.NO_DUAL_MONITOR: ("unavailable", "no-dual-monitor"),
    Configuration.DUAL_MONITOR: ("enabled", "none"),
}


def crash_record(stream: Stream) -> Record | None:
    """The crash record of the STM or the executive monitor, if one crashed."""
    return stream.first("STM", "crash") or stream.first("EXEC", "crash")


def check_ending(stream: Stream, ending: Ending) -> LabError | None:
    """What stopped the guest short of a power-off, if anything: a crash, a hang, an unexpected reset or exit."""
    crash = crash_record(stream)
    if crash is not None:
        name = "the STM" if crash.source == "STM" else "the executive monitor"
        return LabError(f"{name} crashed: {crash}", ExitCode.GUEST_CRASHED)
    last = stream.of("APP", "script")
    after = f" after '{last[-1].text('cmd')}'" if last else ""
    if ending.reason == "timeout" and stream.first("APP", "script-end") is not None:
        return LabError(
            f"the script ended and the guest waited at the Shell's prompt; stopped after {ending.seconds:.0f} s",
            ExitCode.GUEST_HUNG,
            remedy="end the script with 'reset -s'",
        )
    if ending.reason == "timeout":
        return LabError(f"the guest hung{after}; stopped after {ending.seconds:.0f} s", ExitCode.GUEST_HUNG)
    if not ending.requested:
        return LabError(f"the guest ended unexpectedly{after} ({ending.reason})", ExitCode.GUEST_HUNG)
    if ending.status != 0:
        return LabError(f"QEMU ended with status {ending.status}{after}", ExitCode.GUEST_HUNG)
    return None


def problems(report: Report, stream: Stream) -> list[str]:
    """What the demonstration did not show although the guest powered off; empty if all is well."""
    found = script_problems(stream) + _status_problems(report)
    if not report.smi_count:
        found.append("no SMI was counted (MSR 34H)")
    if report.written == 0:
        found.append("no UEFI variable was written")
    elif report.read_back != report.written:
        found.append(f"{report.written} variables were written, {report.read_back} read back")
    if report.configuration is Configuration.STOCK:
        return found
    treatments = {smi.dual_monitor for _cause, smi in report.smis}
    wanted = {True, False} if report.configuration is Configuration.DUAL_MONITOR else {False}
    for missing in wanted - treatments:
        found.append(f"no SMI was served under the {'dual-monitor' if missing else 'default'} treatment")
    for extra in treatments - wanted:
        found.append(f"an SMI was served under the {'dual-monitor' if extra else 'default'} treatment")
    for index, (cause, smi) in enumerate(report.smis):
        if not smi.complete:
            found.append(f"SMI {index} ({cause}) never ended")
        elif smi.dual_monitor and not smi.plain and not smi.extra_exits:
            found.append(f"SMI {index} ({cause}) took {smi.transitions} transitions without an extra exit")
    activations = ACTIVATIONS if report.configuration is Configuration.DUAL_MONITOR else 0
    if report.activations != activations:
        found.append(f"the STM was activated {report.activations} times, not {activations}")
    return found + _hash_problems(report, stream)


def script_problems(stream: Stream) -> list[str]:
    """What is wrong with a run of any script: records that could not be read, commands that failed."""
    return [f"unreadable record: {error}" for error in stream.errors] + command_problems(stream)


def command_problems(stream: Stream) -> list[str]:
    """The commands of the script that failed, with the Shell's status."""
    commands = {record.number("line"): record.text("cmd") for record in stream.of("APP", "script")}
    return [
        f"line {record.number('line')}, '{commands.get(record.number('line'), '?')}': "
        f"the Shell's status is {shell_status(record.number('status'))}"
        for record in stream.of("APP", "script-status")
        if record.number("status") != 0
    ]


def image_problems(stream: Stream, sha256: str) -> list[str]:
    """Whether the firmware took the STM image that was passed to it."""
    status = stream.first("FW", "status")
    if status is None:
        return []  # said already
    got = (status.fields.get("image_source"), status.fields.get("image_sha256"))
    if got == ("fw-cfg", sha256):
        return []
    return [
        f"the STM image passed has SHA-256 {sha256}; the firmware's is {got[1]}, from {got[0]}, {status.text('reason')}"
    ]


def _status_problems(report: Report) -> list[str]:
    if report.status is None:
        return ["the firmware reported no status"]
    got = (report.status.text("state"), report.status.text("reason"))
    wanted = EXPECTED_STATUS[report.configuration]
    return [] if got == wanted else [f"the firmware's status is {' '.join(got)}, not {' '.join(wanted)}"]


def _hash_problems(report: Report, stream: Stream) -> list[str]:
    """Each activation must find the static part of MSEG that the loader left."""
    loaded = report.status.fields.get("mseg_sha256") if report.status is not None else None
    return [
        f"activation at t={record.t} found another MSEG: {record.fields.get('mseg_sha256')}"
        for record in stream.of("STM", "init")
        if record.fields.get("mseg_sha256") != loaded
    ]
