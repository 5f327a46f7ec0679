# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How a boot of the UEFI Shell came out: whether the guest reached its end, and whether its commands ended well."""

from __future__ import annotations

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.machine import Ending
from build_scripts.observation.events import Record, Stream
from build_scripts.observation.names import shell_status


def crash_record(stream: Stream) -> Record | None:
    """The crash record of the STM or the executive monitor, if one crashed."""
    return stream.first("STM", "crash") or stream.first("EXEC", "crash")


def check_ending(stream: Stream, ending: Ending) -> LabError | None:
    """What stopped the guest short of a power-off, if anything: a crash, a hang, an unexpected reset or exit.

    If the machine has seen a check of VMX fail, the error names the last one.
    """
    error = _stopped_short(stream, ending)
    if error is not None and stream.refusals:
        error.message += f"\n  the last check of VMX that failed: {stream.refusals[-1]}"
    return error


def _stopped_short(stream: Stream, ending: Ending) -> LabError | None:
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
