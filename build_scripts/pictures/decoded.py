# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A transition in words: the VMCS fields that matter for it, decoded."""

from __future__ import annotations

from build_scripts.observation.events import NO_ICOUNT, Kind, Transition
from build_scripts.observation.names import ENTRY_FAILURE, EXIT_REASONS
from build_scripts.observation.report import VMX_REASON_IO_SMI

_EXITS = (Kind.EXIT, Kind.SMM_EXIT, Kind.HANDLER_EXIT, Kind.ENTRY_FAILURE)
VMX_REASON_IO = 30


def io_words(qualification: int) -> str:
    """The exit qualification of an I/O instruction or I/O SMI (SDM, "Basic VM-Exit Information", 29.2.1)."""
    size = (qualification & 7) + 1
    way = "IN" if qualification & 8 else "OUT"
    string = " string" if qualification & 16 else ""
    return f"{way}{string}, {size} byte{'s' if size > 1 else ''}, port {qualification >> 16 & 0xFFFF:#x}"


def _pointer(value: int) -> str:
    # The architecture's value for no VMCS.
    return "none" if value == (1 << 64) - 1 else f"{value:#x}"


def fields_of(event: Transition) -> dict[str, str]:
    """The fields that a reader of this transition asks for, by their names."""
    found = {
        "processor": str(event.cpu),
        "transition": event.kind.value,
        "from": event.source.value,
        "to": event.target.value,
        "time-stamp counter": f"{event.t:,}",
    }
    if event.icount != NO_ICOUNT:
        found["instructions executed"] = f"{event.icount:,}"
    if event.kind in _EXITS:
        name = EXIT_REASONS.get(event.basic_reason, "unknown")
        failed = ", VM-entry failure" if event.reason & ENTRY_FAILURE else ""
        found["exit reason"] = f"{event.basic_reason} ({name}{failed})"
        words = (
            f" ({io_words(event.qualification)})" if event.basic_reason in (VMX_REASON_IO, VMX_REASON_IO_SMI) else ""
        )
        found["exit qualification"] = f"{event.qualification:#x}{words}"
    found["guest RIP"] = f"{event.rip:#x}"
    found["VMCS"] = _pointer(event.vmcs)
    found["executive-VMCS pointer"] = _pointer(event.exec_vmcs)
    return found
