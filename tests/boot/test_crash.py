# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Crashes of the STM made through the gdb stub: a crash record, then a reset, and the lab sees it.

The STM under test holds no code for this: the debugger changes a register at
the moment that matters. What an SMI handler can provoke is in test_misbehaviour.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.shell import TRACE, find_qemu
from build_scripts.machine.machine import Machine
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation import crash, outcome
from build_scripts.observation.events import Stream, read_stream
from tests.support.gdb_remote import GdbRemote

from .conftest import BOOT_TIMEOUT_SECONDS

MSEG = 0x1FE00000
SCRIPT = ("ExecMon.efi start", "SmiTool.efi b2 3", "ExecMon.efi stop", "ExecMon.efi start", "reset -s")
VMCS_EXIT_REASON = 0x4402
VMCS_GUEST_CR3 = 0x6802
NOT_CANONICAL = 1 << 63
ENTER_RESUME = 1  # bit 0 of AsmEnter's argument

Breaker = Callable[[GdbRemote, "Symbols"], None]


class Symbols:
    """Addresses of the STM's functions in MSEG."""

    def __init__(self, debug_file: Path) -> None:
        listing = subprocess.run(["nm", str(debug_file)], capture_output=True, text=True, check=True)
        rows = (line.split() for line in listing.stdout.splitlines())
        self._values = {row[2]: int(row[0], 16) for row in rows if len(row) == 3}

    def __getitem__(self, name: str) -> int:
        return MSEG + self._values[name]


def stop_at(gdb: GdbRemote, address: int) -> None:
    gdb.set_breakpoint(address)
    gdb.run_to_stop()
    gdb.clear_breakpoint(address)


def jump_outside(gdb: GdbRemote, symbols: Symbols) -> None:
    """The STM continues in data: #PF, since nothing but its text is executable."""
    stop_at(gdb, symbols["AsmSmmExit"])
    gdb.write_register("rip", MSEG)


def launch_twice(gdb: GdbRemote, symbols: Symbols) -> None:
    """VMLAUNCH where VMRESUME is due fails with a VM-instruction error."""
    stop_at(gdb, symbols["AsmEnter"])
    while not gdb.read_register("rax") & ENTER_RESUME:
        stop_at_next(gdb, symbols["AsmEnter"])
    gdb.write_register("rax", gdb.read_register("rax") & ~ENTER_RESUME)


def stop_at_next(gdb: GdbRemote, address: int) -> None:
    """Go one instruction on, then stop at the same address again."""
    gdb.request("s")
    stop_at(gdb, address)


def misread_reason(gdb: GdbRemote, symbols: Symbols) -> None:
    """Another field is read in place of the exit reason: no such reason."""
    stop_at(gdb, symbols["StmDispatchSmmExit"])
    while True:
        stop_at(gdb, symbols["VmRead"])
        if gdb.read_register("rcx") == VMCS_EXIT_REASON:
            break
        gdb.request("s")
    gdb.write_register("rcx", VMCS_GUEST_CR3)


def lose_processor(gdb: GdbRemote, symbols: Symbols) -> None:
    """The STM's C code takes a non-canonical address for its processor's state: #GP where it uses it."""
    stop_at(gdb, symbols["StmDispatchSmmExit"])
    gdb.write_register("rcx", NOT_CANONICAL)


CRASHES: dict[str, Breaker] = {
    "exception": jump_outside,
    "entry-failure": launch_twice,
    "unexpected-exit": misread_reason,
}
# What the lab says about each, beside the record.
EXPLAINED = {
    "exception": rf"exception 14 \(#PF\), .*\nRIP {MSEG:#x}: in MSEG, outside the STM's code",
    "entry-failure": r"VM-instruction error 4: VMLAUNCH with non-clear VMCS",
    "unexpected-exit": r"no row in the dispatch table of the STM \(StmPkg/Stm/ExitTable\.h\)",
}


def boot_broken(firmware: Firmware, breaker: Breaker) -> tuple[Stream, str, LabError | None, Path]:
    """Boot, break, and give the records, QEMU's end and the lab's verdict."""
    run_dir = paths.new_run_dir("crash")
    socket = run_dir / "gdb.sock"
    guest = Guest(
        qemu=find_qemu(Configuration.DUAL_MONITOR),
        cpu=Configuration.DUAL_MONITOR.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=SCRIPT,
        trace=TRACE,
        extra=("-gdb", f"unix:{socket},server=on,wait=off"),
    )
    with Machine(guest, run_dir) as machine, GdbRemote(socket) as gdb:
        breaker(gdb, Symbols(firmware.symbols))
        gdb.run()
        ending = machine.wait(BOOT_TIMEOUT_SECONDS)
    stream = read_stream(run_dir)
    verdict = outcome.check_ending(stream, ending)
    return stream, ending.reason, verdict, run_dir


@pytest.mark.parametrize("name", list(CRASHES))
def test_crash_leaves_a_record_and_resets(name: str, firmware: Firmware) -> None:
    stream, reason, verdict, run_dir = boot_broken(firmware, CRASHES[name])
    crashes = stream.of("STM", "crash")
    assert [record.text("class") for record in crashes] == [name], run_dir
    assert reason == "guest-reset", run_dir
    assert verdict is not None and verdict.code is ExitCode.GUEST_CRASHED
    assert stream.errors == ()
    explained = "\n".join(crash.explain(crashes[0], stream, run_dir, firmware.symbols))
    assert re.search(EXPLAINED[name], explained), explained
    # The machine has seen which check it was, if it was one.
    told = "processor 0: VMLAUNCH failed (VMfailValid-4) by VMX-INS-39: LAUNCH_STATE is 0x1; demanded: clear"
    assert (told in str(verdict)) == (name == "entry-failure")


def test_crash_in_the_stm_names_the_line(firmware: Firmware, checkout: Path) -> None:
    """Symbol and source line, from the linker's debug information of this build."""
    stream, _reason, verdict, run_dir = boot_broken(firmware, lose_processor)
    assert verdict is not None and verdict.code is ExitCode.GUEST_CRASHED, run_dir
    first, second = crash.explain(stream.of("STM", "crash")[0], stream, run_dir, firmware.symbols)
    assert first == "exception 13 (#GP), error code 0x0"
    found = re.fullmatch(r"RIP 0x[0-9a-f]+: in the STM, (\w+)\+0x[0-9a-f]+, (StmPkg/Stm/\S+\.c):(\d+)", second)
    assert found is not None, second
    function, source, line = found.groups()
    lines = (checkout / source).read_text().splitlines()
    assert "Processor" in lines[int(line) - 1], f"{source}:{line}: {lines[int(line) - 1]}"
    assert any(text.startswith(f"{function} (") for text in lines), f"{function} is not in {source}"


def test_machine_without_a_crash_is_not_blamed(firmware: Firmware) -> None:
    """The breakpoints themselves change nothing."""

    def only_look(gdb: GdbRemote, symbols: Symbols) -> None:
        stop_at(gdb, symbols["AsmSmmExit"])

    stream, reason, verdict, run_dir = boot_broken(firmware, only_look)
    assert stream.of("STM", "crash") == [] and verdict is None, run_dir
    assert reason == "guest-shutdown"
