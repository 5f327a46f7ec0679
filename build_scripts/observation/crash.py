# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Explains a crash record: what its numbers mean, and whose code its RIP is in."""

from __future__ import annotations

from pathlib import Path

from elftools.common.exceptions import ELFError

from build_scripts.observation.events import Kind, Record, Stream
from build_scripts.observation.names import EXCEPTIONS, INSTRUCTION_ERRORS, exit_reason
from build_scripts.observation.symbols import Symbols, find_module

# STM_BAD_STATE of the STM's headers; a test compares them.
BAD_STATES = {
    1: "the loader's data contradict each other or the processor",
    2: "the STM's page tables do not fit into their pages",
    3: "no EPT as the STM needs it",
    4: "more processors than MSEG has blocks, those for refusals included",
    5: "the activation VMCS cannot be read",
    6: "the processor refuses a VMCS in MSEG",
    7: "the PSD is malformed or outside the handler's SMRAM",
    8: "the executive-VMCS pointer lies in SMRAM, and the executive monitor cannot be told",
    9: "the handler wrote an SMBASE that cannot be used",
}
# STM_CRASH_... of edk2's StmStatusCode.h.
PROTECTION_EXCEPTIONS = {
    0xC000F001: "the SMI handler touched what the executive monitor protects, and the firmware has no handler for that",
    0xC000F002: "the firmware's handler of protection exceptions caused one, or an SMI caused more than 100",
}
CRASH_BIOS_PANIC = 0xC000E000
# STM_EVENT of the STM's headers: what ran for too long.
TIMEOUTS = {1: "the SMI handler", 2: "the firmware's set-up code", 3: "the firmware's tear-down code"}
_CR_ACCESS = 28


def explain(crash: Record, stream: Stream, run_dir: Path, symbols: Path | None) -> list[str]:
    """Lines that say in words what the record says in numbers.

    Args:
        run_dir: the run's logs; the firmware's names the modules.
        symbols: the STM with its symbols, if they are at hand.
    Raises:
        events.RecordError: the record lacks a number that it must have.
    """
    lines = _cause(crash, stream)
    rip = crash.number("rip") if "rip" in crash.fields else 0
    if rip:
        place = locate(rip, stream, run_dir, symbols)
        lines.append(f"RIP {rip:#x}: {place or 'in no module that the firmware logged'}")
    return lines


def _cause(crash: Record, stream: Stream) -> list[str]:
    name = crash.text("class")
    if name == "bad-state":
        error = crash.number("error")
        return [BAD_STATES.get(error, f"no such state ({error})")]
    if name == "image-modified":
        return ["the static part of MSEG is not what the loader hashed"]
    if "reason" not in crash.fields:
        return []
    reason = crash.number("reason")
    if name == "exception":
        return [_exception(crash, reason)]
    if name == "resume-failed":
        return [f"VM-instruction error {reason}: {INSTRUCTION_ERRORS.get(reason, 'unknown')}"]
    lines = [f"exit reason {reason & 0xFFFF}: {exit_reason(reason)}{_side(crash, stream)}"]
    if name == "protection-exception":
        lines.append(_protection_exception(crash.number("error")))
    elif name == "handler-timeout":
        who = TIMEOUTS.get(crash.number("error"), "the handler")
        lines.append(f"{who} ran longer than PcdStmHandlerLimit allows; it interrupted RIP {crash.number('qual'):#x}")
    elif name == "snapshot-full":
        touched, pages = crash.number("qual"), crash.number("error")
        lines.append(
            f"the SMI handler touched {touched:#x}, and none of the {pages} pages for copies was free "
            "(PcdStmSnapshotPages)"
        )
    elif name == "unexpected-exit":
        lines.append(_no_row(crash, reason))
    elif name == "entry-failure" and crash.source == "STM" and (error := crash.number("error")):
        lines.append(f"VM-instruction error {error}: {INSTRUCTION_ERRORS.get(error, 'unknown')}")
    return lines


def _protection_exception(code: int) -> str:
    panic = code & ~0xF
    if panic == CRASH_BIOS_PANIC:
        return f"the firmware's handler of protection exceptions gave up, with its code {code & 0xF}"
    return PROTECTION_EXCEPTIONS.get(code, f"no such code ({code:#x})")


def _exception(crash: Record, vector: int) -> str:
    error = crash.number("error" if crash.source == "STM" else "qual")
    text = f"exception {vector} ({EXCEPTIONS.get(vector, 'reserved')}), error code {error:#x}"
    linear = "cr2" if crash.source == "STM" else "address"
    return f"{text}, linear address {crash.number(linear):#x}" if vector == 14 else text


def _no_row(crash: Record, reason: int) -> str:
    if crash.source == "STM":
        return "no row in the dispatch table of the STM (StmPkg/Stm/ExitTable.h)"
    if reason & 0xFFFF == _CR_ACCESS:
        return "an access that the executive monitor does not emulate"
    return "no row in the dispatch table of the executive monitor"


def _side(crash: Record, stream: Stream) -> str:
    """Whose exit it was, by the machine's last transition before the record."""
    before = [event for event in stream.transitions if event.t <= crash.t]
    if crash.source != "STM" or not before:
        return ""
    return {
        Kind.SMM_EXIT: ", an SMM VM exit",
        Kind.HANDLER_EXIT: ", an exit of the SMI handler",
        Kind.ACTIVATE: ", at the activation",
    }.get(before[-1].kind, "")


def locate(rip: int, stream: Stream, run_dir: Path, symbols: Path | None) -> str | None:
    """Symbol and source line in the STM, or module and offset in the firmware; None if neither is known."""
    status = stream.first("FW", "status")
    if status is not None and symbols is not None:
        base, size = status.number("mseg_base"), status.number("mseg_size")
        if base <= rip < base + size:
            try:
                found = Symbols.read(symbols).locate(rip - base)
            except (OSError, ELFError) as error:
                return f"in MSEG; its symbols could not be read ({error})"
            return f"in the STM, {found}" if found is not None else "in MSEG, outside the STM's code"
    module = find_module(run_dir / "firmware.log", rip)
    return f"in {module}" if module is not None else None
