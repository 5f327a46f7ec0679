# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests cannot hurt the host: whatever VMX is told, QEMU answers and goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from build_scripts.conformance.image_table import VMX_CPU
from tests.machine import hostile, vmcs_batch
from tests.machine.vmcs_run import COUNTED, SINGLE, Machine, judge

pytestmark = pytest.mark.machine

MACHINES = {"single": SINGLE, "counted": COUNTED}


@pytest.mark.parametrize("extra", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("group", hostile.GROUPS)
def test_hostile_pointers(group: str, extra: tuple[str, ...], qemu: Path, tmp_path: Path) -> None:
    """Every pointer at every kind of place: the machine survives and says what the table demands."""
    machine = Machine(qemu, tmp_path, extra)
    operations = list(hostile.GROUPS[group](machine.capabilities()))
    assert len(operations) > 50
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", hostile.GROUPS)
def test_hostile_pointers_with_threads(group: str, qemu: Path, tmp_path: Path) -> None:
    """The same on a processor that has a thread of its own, beside another one."""
    machine = Machine(qemu, tmp_path, ("-smp", "2"), threads=True)
    operations = list(hostile.GROUPS[group](machine.capabilities()))
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", hostile.GROUPS)
def test_tables_change_meanwhile(group: str, qemu: Path, tmp_path: Path) -> None:
    """Another processor changes tables, bitmaps and lists while they are used; any outcome that exists is right."""
    machine = Machine(qemu, tmp_path, ("-smp", "2"), threads=True, racer=True)
    operations = [replace(o, expect="") for o in hostile.GROUPS[group](machine.capabilities())]
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


def test_without_the_treatment(qemu: Path, tmp_path: Path) -> None:
    """A processor without the dual-monitor treatment is as robust."""
    machine = Machine(qemu, tmp_path, cpu=VMX_CPU)
    operations = list(hostile.instructions(machine.capabilities()))
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("mode", vmcs_batch.Mode, ids=lambda mode: mode.name)
def test_bases_run(mode: vmcs_batch.Mode, qemu: Path, tmp_path: Path) -> None:
    """The guests that everything above spoils are correct: they run to their VMCALL."""
    machine = Machine(qemu, tmp_path, COUNTED)
    caps = machine.capabilities()
    operations = [
        vmcs_batch.entry(f"{mode.name}-{ept}", vmcs_batch.base(caps, mode, vmcs_batch.JUST_VMCALL, ept), "exit-18")
        for ept in ((True,) if mode in (vmcs_batch.Mode.FLAT_32, vmcs_batch.Mode.REAL) else (False, True))
    ]
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


ENTRY_LINE = "ENTRY index=0 step=0 flags={} error={} reason={} qualification={}\n"


@pytest.mark.parametrize(
    "line",
    [
        ENTRY_LINE.format("0x40", "0x9", "0x0", "0x0"),
        ENTRY_LINE.format("0x1", "0x0", "0x0", "0x0"),
        ENTRY_LINE.format("0x80000000", "0x0", "0x5", "0x0"),
        ENTRY_LINE.format("0x80000000", "0x0", "0x80000021", "0x1"),
        ENTRY_LINE.format("0x80000000", "0x0", "0x80000022", "0x0"),
        ENTRY_LINE.format("0x80000000", "0x0", "0x80000029", "0x0"),
        ENTRY_LINE.format("0x80000000", "0x0", "0x20000012", "0x0"),
        "NOFIELD index=0 field=0x1\n",
        "",
    ],
)
def test_judge_refuses(line: str) -> None:
    """An outcome that does not exist, or none, is a failure."""
    operation = vmcs_batch.entry("x", {})
    done, _ = vmcs_batch.read_log("BEGIN index=0\n" + line, 1)
    assert judge([operation], done)


def test_judge_wants_what_is_expected() -> None:
    """The one right outcome, where there is one."""
    line = ENTRY_LINE.format("0x80000000", "0x0", "0x80000021", "0x4")
    done, begun = vmcs_batch.read_log("BEGIN index=0\n" + line, 1)
    assert begun == 1
    assert not judge([vmcs_batch.entry("x", {}, "entry-33-4")], done)
    assert judge([vmcs_batch.entry("x", {}, "fail-7")], done)
