# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SMI handlers that never end: the real STM finds them with the VMX-preemption timer, tells and resets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.observation.events import Kind
from tests.machine.stm.test_stm import HERE, Run, digest_defines, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "endless.c"))
SMI, SETUP, TEARDOWN = range(3)
LOOPS, HALTS, EXITS, ENDS = range(4)
# STM_EVENT of the STM's headers.
EVENTS = {SMI: 1, SETUP: 2, TEARDOWN: 3}
PREEMPTION_TIMER, CPUID = 52, 10
# Of endless.c, and of Guest/Limit.c in ticks of the time-stamp counter.
EXITS_BEFORE, EXIT_TICKS = 1000, 1 << 14
# Longest of the icount shifts, 2^10 ns an instruction: a loop of a minute takes a second.
ICOUNT = "shift=10,sleep=off"
DECLARATION = re.compile(r"PcdStmHandlerLimit\|(\d+)\|")


def limit() -> int:
    """Ticks of the time-stamp counter that a handler may take: the declaration's default, which the lab builds."""
    found = DECLARATION.search((paths.CHECKOUT / "StmPkg/StmPkg.dec").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) * 1_000_000


def image(mseg: Path, where: int, how: int) -> Rom:
    return build_image(SOURCES, (*digest_defines(mseg), f"WHERE={where}", f"HOW={how}"))


def run(qemu: Path, mseg: Path, work: Path, where: int, how: int, cpu: str = DUAL_CPU) -> Run:
    extra = (
        *("-chardev", f"file,id=stm,path={work / 'stm.log'}"),
        *("-device", "isa-debugcon,iobase=0x403,chardev=stm"),
        *("-trace", "vmx_*", "-D", str(work / "machine.log")),
        *("-icount", ICOUNT),
    )
    return read_run(work, run_image(qemu, image(mseg, where, how).rom, work, cpu, extra, timeout=120))


def elapsed(result: Run) -> int:
    """Ticks from the last entry of the handler to the timer's VM exit."""
    exits = [one for one in result.transitions if one.kind is Kind.HANDLER_EXIT]
    assert exits[-1].basic_reason == PREEMPTION_TIMER
    entries = [one for one in result.transitions if one.kind is Kind.HANDLER_ENTRY]
    return exits[-1].t - entries[-1].t


@pytest.mark.parametrize("how", [LOOPS, HALTS], ids=["loops", "halts"])
@pytest.mark.parametrize("where", [SMI, SETUP, TEARDOWN], ids=["smi", "set-up", "tear-down"])
def test_endless_handler_is_found(qemu: Path, mseg: Path, tmp_path: Path, where: int, how: int) -> None:
    """After the limit, not before: one crash record that says what ran, and a reset."""
    result = run(qemu, mseg, tmp_path, where, how)
    assert result.outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in result.outcome.log
    (crash,) = result.of("crash")
    assert crash.fields["class"] == "handler-timeout"
    assert (crash.number("reason"), crash.number("error")) == (PREEMPTION_TIMER, EVENTS[where])
    assert limit() <= elapsed(result) < limit() * 1.01


def test_vm_exits_take_from_the_limit(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The timer goes on after a VM exit where it was, less the time that the STM has spent on it."""
    result = run(qemu, mseg, tmp_path, SMI, EXITS)
    (crash,) = result.of("crash")
    assert crash.fields["class"] == "handler-timeout"
    served = [one for one in result.transitions if one.kind is Kind.HANDLER_EXIT and one.basic_reason == CPUID]
    assert len(served) == EXITS_BEFORE
    assert limit() * 0.99 < elapsed(result) <= limit() - EXITS_BEFORE * EXIT_TICKS


def test_each_smi_has_the_whole_limit(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """What ends, however many VM exits it has caused, is left alone."""
    result = run(qemu, mseg, tmp_path, SMI, ENDS)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert [record.event for record in result.records if record.event in ("crash", "stop")] == ["stop"]


def test_processor_without_the_timer(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The STM runs without a limit where the processor has nothing to find it with."""
    cpu = f"{DUAL_CPU},vmx-preemption-timer=off,vmx-exit-save-preemption-timer=off"
    result = run(qemu, mseg, tmp_path, SMI, ENDS, cpu)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.of("stop")) == 1
