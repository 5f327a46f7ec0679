# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor reads its guest's memory as the guest would, and switches tasks in the processor's place."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.host.conftest import Build
from tests.host.test_monitor import Registers

RESIDENT = "StmPkg/ExecutiveMonitor/Resident"
MEMORY, PAGE = 0x20_0000, 0x1000
CR0, CR3, CR4, EFER = 0x6800, 0x6802, 0x6804, 0x2806
PE, PG, WP, PSE, PAE, LMA = 1, 1 << 31, 1 << 16, 1 << 4, 1 << 5, 1 << 10
PRESENT, WRITABLE, USER, LARGE = 1, 2, 4, 1 << 7
PDPTE0, SS_ACCESS, CPL3 = 0x280A, 0x4818, 3 << 5
GDTR_BASE, GDTR_LIMIT, TR_SELECTOR, TR_BASE = 0x6816, 0x4810, 0x80E, 0x6814
QUALIFICATION, LENGTH, RIP, RSP, RFLAGS = 0x6400, 0x440C, 0x681E, 0x681C, 0x6820
INJECTED, ERROR_CODE, VECTORING, VECTORING_CODE = 0x4016, 0x4018, 0x4408, 0x440A
CS, SS, DS, TR, LDTR = 1, 2, 3, 7, 6
CALL, IRET, JMP, GATE = range(4)
TS, NP, SF = 10, 11, 12
NT = 1 << 14


@dataclass
class Guest:
    """The stub's guest."""

    library: ctypes.CDLL

    def __post_init__(self) -> None:
        self.library.TestStart()
        self.vmcs = (ctypes.c_uint64 * 0x8000).in_dll(self.library, "TestVmcs")
        self.bytes = (ctypes.c_uint8 * MEMORY).in_dll(self.library, "TestMemory")
        self.vmcs[CR0] = PE

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = list(data)

    def word(self, address: int, value: int, size: int = 8) -> None:
        self.write(address, value.to_bytes(size, "little"))

    def dword(self, address: int) -> int:
        return int.from_bytes(bytes(self.bytes[address : address + 4]), "little")

    def read(self, linear: int, size: int = 4, user: bool = True) -> bytes | None:
        """What ExecReadGuest reads."""
        buffer = (ctypes.c_uint8 * size)()
        done = self.library.ExecReadGuest(ctypes.c_uint64(linear), buffer, ctypes.c_uint64(size), ctypes.c_uint8(user))
        return bytes(buffer) if done & 0xFF else None

    def store(self, linear: int, data: bytes) -> bool:
        """ExecWriteGuest."""
        return bool(self.library.ExecWriteGuest(ctypes.c_uint64(linear), data, ctypes.c_uint64(len(data))) & 0xFF)


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    parts = ("GuestMemory", "Segment", "Exit/TaskSwitch")
    return build_library("guest-memory", "tests/host/guest_stub.c", *(f"{RESIDENT}/{part}.c" for part in parts))


@pytest.fixture
def guest(library: ctypes.CDLL) -> Guest:
    return Guest(library)


# ---- memory

SECRET = b"seen"


def no_paging(guest: Guest, rights: int) -> int:
    guest.write(0x5678, SECRET)
    return 0x5678


def four_levels(guest: Guest, rights: int) -> int:
    """PML4 at 1000H; the linear address has another index in each table."""
    guest.vmcs[CR0], guest.vmcs[CR4], guest.vmcs[EFER], guest.vmcs[CR3] = PE | PG, PAE, LMA, 0x1000
    for table, index, following in ((0x1000, 1, 0x2000), (0x2000, 2, 0x3000), (0x3000, 3, 0x4000)):
        guest.word(table + 8 * index, following | PRESENT | WRITABLE | USER)
    guest.word(0x4000 + 8 * 4, 0x9000 | rights)
    guest.write(0x9ABC, SECRET)
    return 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12 | 0xABC


def large_page(guest: Guest, rights: int) -> int:
    linear = four_levels(guest, rights)
    guest.word(0x3000 + 8 * 3, 0 | rights | LARGE)
    guest.write(0x4ABC, SECRET)
    return linear


def pae(guest: Guest, rights: int) -> int:
    """PDPTEs come from the VMCS."""
    guest.vmcs[CR0], guest.vmcs[CR4] = PE | PG, PAE
    guest.vmcs[PDPTE0 + 2 * 2] = 0x3000 | PRESENT
    guest.word(0x3000 + 8 * 3, 0x4000 | PRESENT | WRITABLE | USER)
    guest.word(0x4000 + 8 * 4, 0x9000 | rights)
    guest.write(0x9ABC, SECRET)
    return 2 << 30 | 3 << 21 | 4 << 12 | 0xABC


def two_levels(guest: Guest, rights: int) -> int:
    guest.vmcs[CR0], guest.vmcs[CR4], guest.vmcs[CR3] = PE | PG, PSE, 0x1000
    guest.word(0x1000 + 4 * 5, 0x2000 | PRESENT | WRITABLE | USER, 4)
    guest.word(0x2000 + 4 * 6, 0x9000 | rights, 4)
    guest.write(0x9ABC, SECRET)
    return 5 << 22 | 6 << 12 | 0xABC


def four_megabytes(guest: Guest, rights: int) -> int:
    guest.vmcs[CR0], guest.vmcs[CR4], guest.vmcs[CR3] = PE | PG, PSE, 0x1000
    guest.word(0x1000 + 4 * 5, rights | LARGE, 4)
    guest.write(0x9ABC, SECRET)
    return 5 << 22 | 0x9ABC


Paging = Callable[[Guest, int], int]
PAGING = (four_levels, large_page, pae, two_levels, four_megabytes)


@pytest.mark.parametrize("paging", [no_paging, *PAGING])
def test_memory_is_read_through_the_guests_tables(guest: Guest, paging: Paging) -> None:
    assert guest.read(paging(guest, PRESENT | WRITABLE | USER)) == SECRET


@pytest.mark.parametrize("paging", PAGING)
def test_page_that_is_not_there(guest: Guest, paging: Paging) -> None:
    assert guest.read(paging(guest, WRITABLE | USER)) is None


@pytest.mark.parametrize("paging", PAGING)
def test_privilege(guest: Guest, paging: Paging) -> None:
    """A page of the supervisor is there for CPL 0, and for the processor itself."""
    linear = paging(guest, PRESENT | WRITABLE)
    assert guest.read(linear) == SECRET
    guest.vmcs[SS_ACCESS] = CPL3
    assert guest.read(linear) is None and guest.read(linear, user=False) == SECRET


@pytest.mark.parametrize(("protect", "done"), [(0, True), (WP, False)])
def test_read_only_page(guest: Guest, protect: int, done: bool) -> None:
    linear = four_levels(guest, PRESENT | USER)
    guest.vmcs[CR0] |= protect
    assert guest.store(linear, b"SEEN") == done
    assert guest.read(linear) == (b"SEEN" if done else SECRET)


@pytest.mark.parametrize("hidden", [MEMORY - PAGE, MEMORY, 1 << 39, 1 << 51])
def test_hidden_memory_reads_as_ones_and_is_not_written(guest: Guest, hidden: int) -> None:
    """Behind EPT, beyond memory, and where the processor has no address at all."""
    assert guest.store(hidden, b"\0" * 4)
    assert guest.read(hidden) == b"\xff" * 4


def test_tables_in_hidden_memory(guest: Guest) -> None:
    """Ones as entries lead to ones, and to an end."""
    linear = four_levels(guest, PRESENT)
    guest.vmcs[CR3] = MEMORY - PAGE
    assert guest.read(linear) == b"\xff" * 4


# ---- task switches

GDT, TSS_A, TSS_B, STACK = 0x1000, 0x2000, 0x3000, 0x4800
SEL_CODE, SEL_DATA, SEL_A, SEL_B, SEL_OTHER = 0x08, 0x10, 0x18, 0x20, 0x28
CODE, DATA, TSS32 = 0x00CF9A00_0000FFFF, 0x00CF9200_0000FFFF, 0x00008900_00000067


def descriptor(kind: int, base: int = 0) -> int:
    return kind | (base & 0xFFFFFF) << 16 | (base >> 24) << 56


@dataclass(frozen=True)
class Task:
    """What task B's TSS holds."""

    eflags: int = 0x202
    cs: int = SEL_CODE
    ss: int = SEL_DATA
    ds: int = SEL_DATA
    ldt: int = 0
    trap: int = 0


def switch(guest: Guest, source: int, task: Task | None = None, other: int = 0, kind: int = TSS32) -> Registers:
    """From task A, whose registers are 1 to 7, to task B."""
    task = task or Task()
    table = (0, CODE, DATA, descriptor(TSS32 | 2 << 40, TSS_A), descriptor(kind, TSS_B), other)
    guest.write(GDT, struct.pack("<6Q", *table))
    guest.vmcs[GDTR_BASE], guest.vmcs[GDTR_LIMIT] = GDT, 8 * 6 - 1
    guest.vmcs[TR_SELECTOR], guest.vmcs[TR_BASE] = SEL_A, TSS_A
    guest.vmcs[QUALIFICATION], guest.vmcs[LENGTH] = SEL_B | source << 30, 7
    guest.vmcs[RIP], guest.vmcs[RSP], guest.vmcs[RFLAGS] = 0x100, 0x5000, NT | 2
    for index, selector in ((CS, SEL_CODE), (SS, SEL_DATA), (DS, SEL_DATA)):
        guest.vmcs[0x800 + 2 * index] = selector
        guest.vmcs[0x4814 + 2 * index] = 0xC09B if index == CS else 0xC093
    segments = (SEL_DATA, task.cs, task.ss, task.ds, 0, 0)
    new = (0x200, task.eflags, 11, 12, 13, 14, STACK, 15, 16, 17, *segments, task.ldt, task.trap)
    guest.write(TSS_B + 0x20, struct.pack("<18I", *new))
    registers = Registers(rax=1, rcx=2, rdx=3, rbx=4, rbp=5, rsi=6, rdi=7)
    guest.library.TestTaskSwitch(ctypes.byref(registers))
    return registers


def crash(guest: Guest) -> bytes | None:
    return ctypes.c_char_p.in_dll(guest.library, "TestCrash").value


def busy(guest: Guest, selector: int) -> bool:
    return bool(guest.bytes[GDT + selector + 5] & 2)


@pytest.mark.parametrize("source", [CALL, IRET, JMP, GATE])
def test_switch(guest: Guest, source: int) -> None:
    registers = switch(guest, source, kind=TSS32 | (2 << 40 if source == IRET else 0))
    assert crash(guest) is None and guest.vmcs[INJECTED] == 0
    # What is left of task A.
    old = struct.unpack("<10I", bytes(guest.bytes[TSS_A + 0x20 : TSS_A + 0x48]))
    assert old == (0x107, 2 if source == IRET else NT | 2, 1, 2, 3, 4, 0x5000, 5, 6, 7)
    assert struct.unpack("<3I", bytes(guest.bytes[TSS_A + 0x4C : TSS_A + 0x58])) == (SEL_CODE, SEL_DATA, SEL_DATA)
    assert busy(guest, SEL_A) == (source in (CALL, GATE)) and busy(guest, SEL_B)
    # Task B.
    nested = source in (CALL, GATE)
    assert guest.vmcs[RIP] == 0x200 and guest.vmcs[RSP] == STACK
    assert guest.vmcs[RFLAGS] == 0x202 | (NT if nested else 0)
    assert (guest.dword(TSS_B) & 0xFFFF) == (SEL_A if nested else 0)
    names = ("rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi")
    assert [getattr(registers, name) for name in names] == [11, 12, 13, 14, 15, 16, 17]
    assert guest.vmcs[TR_SELECTOR] == SEL_B and guest.vmcs[TR_BASE] == TSS_B
    assert guest.vmcs[0x4814 + 2 * TR] == 0x8B and guest.vmcs[CR0] & 8
    assert guest.vmcs[0x4814 + 2 * CS] == 0xC09B and guest.vmcs[0x4814 + 2 * DS] == 0xC093
    assert guest.vmcs[0x4814 + 2 * 4] == guest.vmcs[0x4814 + 2 * LDTR] == 1 << 16, "null selectors"


@pytest.mark.parametrize(("kind", "eip"), [(0, 0x100), (2, 0x100), (3, 0x100), (4, 0x107), (6, 0x107)])
def test_gate_of_an_event(guest: Guest, kind: int, eip: int) -> None:
    """Interrupts and faults come back to the instruction, software interrupts behind it."""
    guest.vmcs[VECTORING] = 1 << 31 | kind << 8 | 13
    switch(guest, GATE)
    assert guest.dword(TSS_A + 0x20) == eip and guest.vmcs[RSP] == STACK


def test_error_code_goes_to_the_new_stack(guest: Guest) -> None:
    guest.vmcs[VECTORING], guest.vmcs[VECTORING_CODE] = 1 << 31 | 1 << 11 | 3 << 8 | 13, 0x1234
    switch(guest, GATE)
    assert guest.vmcs[RSP] == STACK - 4 and guest.dword(STACK - 4) == 0x1234


PRESENT_BIT, DPL3 = 1 << 47, 3 << 45
FAULTS = {
    "CS is null": (Task(cs=0), 0, TS, 0),
    "CS is data": (Task(cs=SEL_DATA), 0, TS, SEL_DATA),
    "CS is beyond the GDT": (Task(cs=0x80), 0, TS, 0x80),
    "CS of another privilege": (Task(cs=SEL_OTHER), CODE | DPL3, TS, SEL_OTHER),
    "CS is not present": (Task(cs=SEL_OTHER), CODE & ~PRESENT_BIT, NP, SEL_OTHER),
    "SS is null": (Task(ss=0), 0, TS, 0),
    "SS is code": (Task(ss=SEL_CODE), 0, TS, SEL_CODE),
    "SS is read-only": (Task(ss=SEL_OTHER), DATA & ~(1 << 41), TS, SEL_OTHER),
    "SS is not present": (Task(ss=SEL_OTHER), DATA & ~PRESENT_BIT, SF, SEL_OTHER),
    "DS is execute-only": (Task(ds=SEL_OTHER), CODE & ~(1 << 41), TS, SEL_OTHER),
    "DS is a TSS": (Task(ds=SEL_A), 0, TS, SEL_A),
    "DS with an RPL that its DPL forbids": (Task(ds=SEL_DATA | 3), 0, TS, SEL_DATA),
    "DS is not present": (Task(ds=SEL_OTHER), DATA & ~PRESENT_BIT, NP, SEL_OTHER),
    "LDT is data": (Task(ldt=SEL_DATA), 0, TS, SEL_DATA),
    "LDT is not present": (Task(ldt=SEL_OTHER), 0x0200_0000_0000, TS, SEL_OTHER),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_fault_in_the_new_task(guest: Guest, fault: tuple[Task, int, int, int]) -> None:
    task, other, vector, error = fault
    switch(guest, JMP, task, other)
    assert crash(guest) is None
    assert (guest.vmcs[INJECTED], guest.vmcs[ERROR_CODE]) == (vector, error)
    assert guest.vmcs[RIP] == 0x200 and guest.vmcs[TR_SELECTOR] == SEL_B, "in the new task"


def test_virtual_8086_task(guest: Guest) -> None:
    switch(guest, JMP, replace(Task(), eflags=1 << 17 | 2, cs=0x1234, ds=0x4321))
    assert guest.vmcs[INJECTED] == 0
    for index, selector in ((CS, 0x1234), (DS, 0x4321)):
        assert guest.vmcs[0x800 + 2 * index] == selector and guest.vmcs[0x6806 + 2 * index] == selector << 4
        assert guest.vmcs[0x4814 + 2 * index] == 0xF3


@pytest.mark.parametrize(
    ("task", "kind"), [(Task(), TSS32 & ~(8 << 40)), (Task(trap=1), TSS32)], ids=["16-bit TSS", "debug trap"]
)
def test_what_is_not_done_is_refused(guest: Guest, task: Task, kind: int) -> None:
    switch(guest, JMP, task, kind=kind)
    assert crash(guest) == b"task-switch"
