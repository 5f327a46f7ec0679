# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The gdb stub shows a guest's memory through EPT (machine notes, defect 10)."""

from __future__ import annotations

import struct
import subprocess
import time
from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import qemu_arguments
from build_scripts.conformance.image_table import VMX_CPU
from build_scripts.processes import TimeLimit
from tests.support.gdb_remote import GdbRemote

PROBE = 0x2000000
OTHER = 0x2200000
INSIDE = 0x494E5344  # as the image writes it
SECONDS = 60


def _wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    limit = TimeLimit(process.pid, SECONDS)
    while limit.left() > 0:
        if log.is_file() and text in log.read_text(encoding="ascii", errors="replace"):
            return
        assert process.poll() is None, "QEMU ended before the guest was ready"
        time.sleep(0.1)
    raise AssertionError(f"no {text!r} in {log}")


def test_memory_of_a_guest_under_ept(qemu: Path, tmp_path: Path) -> None:
    """Linear addresses are the guest's: what it calls PROBE is the host's OTHER."""
    rom = build_image(("t_debugger.c",)).rom
    log, socket = tmp_path / "debug.log", tmp_path / "gdb"
    extra = ("-gdb", f"unix:{socket},server=on,wait=off")
    process = subprocess.Popen(qemu_arguments(qemu, rom, log, VMX_CPU, extra), stderr=subprocess.DEVNULL)
    try:
        _wait_for(log, f"READY probe=0x{INSIDE:x}", process)
        with GdbRemote(socket) as gdb:
            gdb.request("?")
            assert struct.unpack("<I", gdb.read_memory(PROBE, 4)) == (INSIDE,)
            assert gdb.read_memory(PROBE, 64) == gdb.read_memory(OTHER, 64)
            gdb.write_memory(PROBE + 16, b"STM")
            assert gdb.read_memory(OTHER + 16, 3) == b"STM"
    finally:
        process.kill()
        process.wait()
