# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Guests cannot hurt the host: whatever VMX is told, QEMU answers and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine import hostile, vmcs_batch
from tests.machine.machine_table import VMX_CPU
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
