# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The processor SMM descriptor (PSD) as any STM finds it in SMRAM, and the entry that it names.

Read through the gdb stub, which sees SMRAM while the processor is in SMM.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import find_qemu
from build_scripts.machine.machine import Machine
from build_scripts.machine.processors import TSEG_MEGABYTES, Configuration, Guest
from build_scripts.observation.events import read_stream
from tests.support.gdb_remote import GdbRemote

from .conftest import BOOT_TIMEOUT_SECONDS, BootScript

SCRIPT = ("ExecMon.efi start", "SmiTool.efi b2 3", "ExecMon.efi stop", "reset -s")
TSEG_END = 512 << 20
TSEG = TSEG_END - (TSEG_MEGABYTES << 20)
PSD_OFFSET = 0xFB00
SMM_DATA_SELECTOR = 0x20
HANDLER_OFFSET = 0x8000
PAGE = 0x1000
EFER_REGISTER = 0x20  # of QEMU's gdb stub
EFER_NXE = 0x800
RESOURCE_END = struct.pack("<IHHQ", 0, 16, 0, 0)  # END_OF_RESOURCES, its length, no flags, no continuation
STEPS = 100  # the entry has fewer instructions


@dataclass(frozen=True)
class Descriptor:
    """Fields of TXT_PROCESSOR_SMM_DESCRIPTOR (MdePkg/Include/Register/Intel/StmApi.h) that an STM follows or obeys."""

    signature: bytes
    size: int
    entry_state: int
    handler_rip: int
    exception_handler: bytes
    resources: int
    rsdp: int
    address_bits: int

    @classmethod
    def parse(cls, data: bytes) -> Descriptor:
        """Read the structure by the offsets of its fields."""
        return cls(
            signature=data[0:8],
            size=struct.unpack_from("<H", data, 0x08)[0],
            entry_state=data[0x10],
            handler_rip=struct.unpack_from("<Q", data, 0x38)[0],
            exception_handler=data[0x58:0x70],
            resources=struct.unpack_from("<Q", data, 0x78)[0],
            rsdp=struct.unpack_from("<Q", data, 0x80)[0],
            address_bits=data[0x88],
        )


DESCRIPTOR_SIZE = 0x89


def read_descriptor(gdb: GdbRemote, smbase: int) -> Descriptor:
    return Descriptor.parse(gdb.read_memory(smbase + PSD_OFFSET, DESCRIPTOR_SIZE))


def stop_at(gdb: GdbRemote, address: int) -> None:
    gdb.set_breakpoint(address)
    gdb.run_to_stop()
    gdb.clear_breakpoint(address)


@pytest.fixture(scope="module")
def smbase_of_boot() -> dict[str, int]:
    """SMBASE, the same in each boot of one image; found by the first."""
    return {}


@pytest.fixture
def smbase(smbase_of_boot: dict[str, int], boot_script: BootScript) -> int:
    if "smbase" not in smbase_of_boot:
        result = boot_script(Configuration.DUAL_MONITOR, "StmStatus.efi")
        log = (result.run_dir / "firmware.log").read_text(errors="replace")
        found = re.search(r"CPU\[000\] .*SMBASE=([0-9A-F]+)", log)
        assert found is not None, result.run_dir
        smbase_of_boot["smbase"] = int(found[1], 16)
    return smbase_of_boot["smbase"]


@contextmanager
def at_the_handlers_entry(firmware: Firmware, smbase: int) -> Iterator[tuple[Machine, GdbRemote, Path]]:
    """A boot that stands where the STM has entered the SMI handler."""
    run_dir = paths.new_run_dir("descriptor")
    socket = run_dir / "gdb.sock"
    guest = Guest(
        qemu=find_qemu(Configuration.DUAL_MONITOR),
        cpu=Configuration.DUAL_MONITOR.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=SCRIPT,
        extra=("-gdb", f"unix:{socket},server=on,wait=off"),
    )
    with Machine(guest, run_dir) as machine, GdbRemote(socket, timeout=BOOT_TIMEOUT_SECONDS) as gdb:
        # The first SMI is entered by the processor itself, long before there is an STM.
        stop_at(gdb, smbase + HANDLER_OFFSET)
        handler = read_descriptor(gdb, smbase).handler_rip
        assert smbase + HANDLER_OFFSET < handler < smbase + HANDLER_OFFSET + PAGE
        stop_at(gdb, handler)
        yield machine, gdb, run_dir


def test_descriptor_is_complete(firmware: Firmware, smbase: int) -> None:
    with at_the_handlers_entry(firmware, smbase) as (machine, gdb, run_dir):
        descriptor = read_descriptor(gdb, smbase)
        assert descriptor.signature == b"TXTPSSIG" and descriptor.size == DESCRIPTOR_SIZE
        assert descriptor.entry_state == 0b1111
        # The handler of protection exceptions: code and stack in SMRAM, and asked about every kind of violation.
        rip, rsp, stack_segment, kinds, reserved = struct.unpack("<QQHHI", descriptor.exception_handler)
        assert TSEG <= rip < TSEG_END and TSEG < rsp < TSEG_END and rsp % 16 == 0, run_dir
        assert (stack_segment, kinds, reserved) == (SMM_DATA_SELECTOR, 0b11111, 0)
        assert descriptor.address_bits == 40
        # The resources are listed in SMRAM, on pages of their own, up to an END.
        assert TSEG <= descriptor.resources < TSEG_END and descriptor.resources % PAGE == 0, run_dir
        listed = descriptor.resources
        while (data := gdb.read_memory(listed, len(RESOURCE_END))) != RESOURCE_END:
            kind, length = struct.unpack_from("<IH", data)
            assert 1 <= kind <= 4 and length in (16, 32) and listed < descriptor.resources + PAGE, run_dir
            listed += length
        assert listed > descriptor.resources, run_dir
        # The ACPI tables lie in ordinary memory, which the handler's page tables may leave out.
        assert descriptor.rsdp != 0
        shown = machine.monitor(f"xp /8xb {descriptor.rsdp:#x}")
        assert bytes(int(value, 16) for value in shown.split(":")[1].split()) == b"RSD PTR "


def test_handler_sets_nxe_where_the_monitor_has_not(firmware: Firmware, smbase: int) -> None:
    with at_the_handlers_entry(firmware, smbase) as (machine, gdb, run_dir):
        efer = struct.unpack("<Q", bytes.fromhex(gdb.request(f"p{EFER_REGISTER:x}")))[0]
        assert efer & EFER_NXE, "our own monitor sets it"
        gdb.request(f"P{EFER_REGISTER:x}={struct.pack('<Q', efer & ~EFER_NXE).hex()}")
        page = gdb.read_register("rip") & ~(PAGE - 1)
        for _step in range(STEPS):
            gdb.request("s")
            if gdb.read_register("rip") & ~(PAGE - 1) != page:
                break
        else:
            pytest.fail(f"{run_dir}: the entry does not end")
        assert struct.unpack("<Q", bytes.fromhex(gdb.request(f"p{EFER_REGISTER:x}")))[0] == efer
        gdb.run()
        ending = machine.wait(BOOT_TIMEOUT_SECONDS)
    assert ending.requested, run_dir
    stream = read_stream(run_dir)
    assert stream.errors == () and stream.of("STM", "crash") == []
