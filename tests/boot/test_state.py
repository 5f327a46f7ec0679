# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The state of the interrupted program behind an SMI: native, from VMX root operation, from the guest, from HLT."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import Mode, Record, Stream
from build_scripts.observation.report import Smi, group_smis

from .conftest import BootScript

pytestmark = pytest.mark.boot

GENERAL = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)), "rflags"}
SEGMENTS = {"cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr", "fs-base", "gs-base"}
TABLES = {"gdtr-base", "gdtr-limit", "idtr-base", "idtr-limit"}
CONTROL = {"cr0", "cr2", "cr3", "cr4", "cr8", "xcr0", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "efer", "pat"}
SYSCALL = {
    "sysenter-cs",
    "sysenter-esp",
    "sysenter-eip",
    "star",
    "lstar",
    "cstar",
    "fmask",
    "kernel-gs-base",
    "tsc-aux",
}
PLATFORM = {"debugctl", "misc-enable", "apic-base", "mtrr-def-type", "mtrr-base0", "mtrr-mask0"}
VECTORS = {"x87-control", "mxcsr", "x87-st", "xmm", "ymm-high"}
FIELDS = GENERAL | SEGMENTS | TABLES | CONTROL | SYSCALL | PLATFORM | VECTORS | {"smi-count"}

# What the tool loads before the SMI (StmPkg/Applications/SmiTool/State.c): without them nothing could get lost.
PATTERNS = {
    "rflags": 0x241C93,
    "rbx": 0x1122334455667700 + 3 * 0x0101010101010101,
    "cr2": 0x5A5A12345678F001,
    "cr8": 9,
    "dr0": 0x5A1100000000,
    "dr3": 0x5A1100000000 + 3 * 0x111111110,
    "dr6": 0xFFFF4FF9,
    "dr7": 0x30D00455,
    "sysenter-esp": 0x5A0102030405,
    "star": 0x5A01020304050607,
    "lstar": 0x5A1112131415,
    "kernel-gs-base": 0x5A3132333435,
    "tsc-aux": 0x5A5B5C5D,
}

BOTH = ("SmiTool.efi state", "SmiTool.efi state hlt")


@dataclass(frozen=True)
class Check:
    """One call of ``SmiTool.efi state``: what it compared, and the SMI it took."""

    halted: bool
    wakes: int
    fields: dict[str, Record]
    smi: Smi | None


def _checks(stream: Stream) -> list[Check]:
    smis = group_smis(stream.transitions)
    found: list[Check] = []
    fields: dict[str, Record] = {}
    begin = end = None
    for record in stream.records:
        if record.source != "APP":
            continue
        if record.event == "smi-begin":
            begin, fields = record, {}
        elif record.event == "smi-end":
            end = record
        elif record.event == "state-check":
            fields[record.text("field")] = record
        elif record.event == "state-end":
            assert begin is not None and end is not None
            inside = [smi for smi in smis if begin.t < smi.t < end.t]
            assert len(inside) == (1 if stream.transitions else 0)
            halted = bool(record.number("halted"))
            found.append(Check(halted, end.number("wakes"), fields, inside[0] if inside else None))
    return found


def _assert_unchanged(check: Check) -> None:
    changed = [str(record) for record in check.fields.values() if record.text("result") != "pass"]
    assert not changed
    assert FIELDS - set(check.fields) == set()
    assert {name: check.fields[name].number("before") for name in PATTERNS} == PATTERNS
    patterns = [check.fields[name].number("before") for name in GENERAL - {"rsp"}]
    assert len(set(patterns)) == len(patterns)


def test_nothing_changes_under_the_dual_monitor_treatment(boot_script: BootScript) -> None:
    """Guest, native again, VMX root operation; each by port B2H and from HLT."""
    result = boot_script(
        Configuration.DUAL_MONITOR,
        *("ExecMon.efi start", *BOTH, "ExecMon.efi stop"),
        *BOTH,
        *("ExecMon.efi start -root", *BOTH, "ExecMon.efi stop"),
    )
    checks = _checks(result.stream)
    assert [check.halted for check in checks] == [False, True] * 3
    for check in checks:
        _assert_unchanged(check)
    interrupted = (Mode.GUEST, Mode.GUEST, Mode.NONE, Mode.NONE, Mode.ROOT, Mode.ROOT)
    for check, mode in zip(checks, interrupted, strict=True):
        assert check.smi is not None and check.smi.events[0].source is mode
        assert check.smi.dual_monitor == (mode is not Mode.NONE)
        if check.smi.dual_monitor:
            assert check.smi.plain
            # DM-EXI-38, DM-RET-61: the activity state HLT is saved and entered again, until an interrupt ends it.
            assert check.wakes == (1 if check.halted else 0)


@pytest.mark.parametrize(
    "configuration", [Configuration.STOCK, Configuration.NO_DUAL_MONITOR], ids=lambda value: value.value
)
def test_nothing_changes_under_the_default_treatment(configuration: Configuration, boot_script: BootScript) -> None:
    """Natively on the distribution's QEMU; as the executive monitor's guest on ours."""
    result = boot_script(configuration, "ExecMon.efi start", *BOTH, "ExecMon.efi stop")
    checks = _checks(result.stream)
    assert [check.halted for check in checks] == [False, True]
    for check in checks:
        _assert_unchanged(check)
