# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Batches of VM entries and VMX instructions for the image ``t_batch.c``, and the judge of what came of them.

A guest that starts correct is the base of every entry; what is wrong with it
is a list of writes: VMCS fields, 8-byte words of the guest's memory, registers.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache

BLOB, AREA = 0x2000000, 0x3000000
_MAGIC = 0x4843544142434D56
PAGE = 0x1000

# Pages of the guest's memory, by offset in AREA.
CODE, STACK, TABLES, PML4, PDPT, PD, PT, PD3 = (AREA + n * PAGE for n in range(8))
EPT4, EPT3, EPT2, EPT1, EPT2_MMIO, PAE_PDPT, PD32, MSRS = (AREA + n * PAGE for n in range(8, 16))
IO_A, IO_B, MSR_BITMAP, VAPIC, APIC_PAGE, PT_LOW, EPTP_LIST, PD_HIGH = (AREA + n * PAGE for n in range(16, 24))
PT32 = AREA + 24 * PAGE
PAGES = 25
GDT, TSS = TABLES, TABLES + 0x800
PROGRAM_SIZE = 64

RBX, RCX = 0xFF01, 0xFF03

# VMCS fields, by the SDM's names.
VPID = 0x0000
IO_BITMAP_A, IO_BITMAP_B, MSR_BITMAPS = 0x2000, 0x2002, 0x2004
EXIT_STORE, EXIT_LOAD, ENTRY_LOAD, EXECUTIVE = 0x2006, 0x2008, 0x200A, 0x200C
VIRTUAL_APIC, APIC_ACCESS, VM_FUNCTIONS, EPTP, EPTP_LIST_FIELD = 0x2012, 0x2014, 0x2018, 0x201A, 0x2024
LINK, DEBUGCTL, PAT, EFER, PDPTE0 = 0x2800, 0x2802, 0x2804, 0x2806, 0x280A
PIN, PROC, EXCEPTIONS, PF_MASK, PF_MATCH, CR3_TARGETS = 0x4000, 0x4002, 0x4004, 0x4006, 0x4008, 0x400A
EXIT, EXIT_STORE_COUNT, EXIT_LOAD_COUNT = 0x400C, 0x400E, 0x4010
ENTRY, ENTRY_LOAD_COUNT, ENTRY_INTR, ENTRY_ERROR, ENTRY_LENGTH = 0x4012, 0x4014, 0x4016, 0x4018, 0x401A
TPR_THRESHOLD, PROC2 = 0x401C, 0x401E
LIMITS, RIGHTS, SELECTORS, BASES = 0x4800, 0x4814, 0x0800, 0x6806  # + 2 * segment
ES, CS, SS, DS, FS, GS, LDTR, TR = range(8)
GDTR_LIMIT, IDTR_LIMIT, INTERRUPTIBILITY, ACTIVITY, SMBASE, TIMER = 0x4810, 0x4812, 0x4824, 0x4826, 0x4828, 0x482E
CR0_MASK, CR4_MASK = 0x6000, 0x6002
CR0, CR3, CR4, GDTR_BASE, IDTR_BASE, DR7, RSP, RIP, RFLAGS = (
    0x6800, 0x6802, 0x6804, 0x6816, 0x6818, 0x681A, 0x681C, 0x681E, 0x6820,
)  # fmt: skip
PENDING_DEBUG = 0x6822

# Controls.
PIN_BASE = 0x49  # external interrupts, NMIs, preemption timer
VMX_PIN_PREEMPTION_TIMER = 0x40
VMX_CPU_HLT, VMX_CPU_TPR_SHADOW, VMX_CPU_UNCONDITIONAL_IO, VMX_CPU_IO_BITMAPS = 1 << 7, 1 << 21, 1 << 24, 1 << 25
VMX_CPU_MSR_BITMAPS, VMX_CPU_SECONDARY_CONTROLS = 1 << 28, 1 << 31
VMX_CPU2_APIC_ACCESSES, VMX_CPU2_EPT, VMX_CPU2_UNRESTRICTED_GUEST, VMX_CPU2_VMFUNC = 1 << 0, 1 << 1, 1 << 7, 1 << 13
EXIT_BASE = 1 << 9 | 1 << 19 | 1 << 20 | 1 << 21  # 64-bit host; loads PAT, saves and loads EFER
VMX_ENTRY_IA32E_GUEST, VMX_ENTRY_LOAD_EFER = 1 << 9, 1 << 15
EPTP_4_LEVELS_WB, EPTP_DIRTY = 0x1E, 0x40

_END = "0f01c1 ebfb"  # vmcall; again
PROGRAMS = tuple(
    bytes.fromhex(text + _END)
    for text in (
        "",
        "0fa2 f4 0f31 f390 0f33",  # cpuid, hlt, rdtsc, pause, rdpmc
        "e480 e680 ec ee 6c 6e f36e",  # in and out, with strings
        "8a03 8b03 8903 ffd3",  # load, store and call at [rbx]
        "0f20c0 0f22c0 0f20d8 0f22d8 0f20e0 0f22e0 440f20c0 440f22c0",  # control registers
        "0f32 0f30",  # rdmsr, wrmsr
        "cc cd20 f1 0f0b",  # int3, int, int1, ud2
        "fb f4 9c 9d 8cd0 8ed0 f4 0f23f8 cf",  # sti, hlt, popf, mov ss, dr7, iret
        "0f01d4 0f78c0 0f79c0 0f01c4 0f01c2 0f01c3",  # vmfunc and VMX instructions
        "0faa 0f01d1 0f013b 0f09 0f0113 0f00d8 0f01c8 0f01c9 0f06 0f01f0",  # rsm, xsetbv, invlpg, wbinvd, lgdt ...
        "ffe3",  # jmp rbx
        "48890b 0fa2",  # store rcx at [rbx], cpuid
        "ebfe",  # for ever
    )
)
LOOPING = len(PROGRAMS) - 1
(JUST_VMCALL, PLAIN, PORTS, MEMORY, CONTROL, MSR, SOFTWARE, EVENTS, VMX, SYSTEM, JUMP, STORE, _LOOP) = range(
    len(PROGRAMS)
)


class Kind(IntEnum):
    """What the image does with one operation."""

    ENTRY = 0
    VMPTRLD = 1
    VMCLEAR = 2
    VMXON = 3
    OPERAND = 4
    SHADOWED = 5


class Mode(IntEnum):
    """How the guest begins."""

    LONG = 0
    COMPATIBILITY = 1
    PAE = 2
    PAGED_32 = 3
    FLAT_32 = 4
    REAL = 5
    VIRTUAL_8086 = 6


@dataclass(frozen=True)
class Capabilities:
    """What the image read from the capability MSRs: allowed-1 settings high, allowed-0 settings low."""

    width: int
    pin: int
    proc: int
    exit: int
    entry: int
    proc2: int
    ept: int
    misc: int
    region: int
    cr0: int
    cr4: int

    @staticmethod
    def adjust(msr: int, wanted: int) -> int:
        """The control word closest to what is wanted."""
        return (wanted | msr) & (msr >> 32) & 0xFFFFFFFF

    @property
    def functions(self) -> bool:
        """Whether VM functions are offered, and their fields exist."""
        return bool(self.proc2 >> 32 & VMX_CPU2_VMFUNC)


@dataclass(frozen=True)
class Operation:
    """One line of a batch; `expect`, where given, is the only outcome that is right.

    With may_end_host the host may die of it: the image in a panic, the machine in a shutdown.
    """

    name: str
    kind: Kind
    items: tuple[tuple[int, int], ...] = ()
    expect: str = ""
    may_end_host: bool = False

    def __str__(self) -> str:
        writes = " ".join(f"{key:#x}={value:#x}" for key, value in self.items)
        return f"{self.name}: {self.kind.name} {writes}"

    def value(self, key: int) -> int:
        """What is written last to a field; 0 if nothing is."""
        return next((value for name, value in reversed(self.items) if name == key), 0)

    @property
    def may_abort(self) -> bool:
        """Whether its VM exits use an MSR area, so that a VMX abort is right."""
        return bool(self.value(EXIT_STORE_COUNT) or self.value(EXIT_LOAD_COUNT))

    def encode(self) -> bytes:
        """As the image reads it."""
        words = [self.kind, len(self.items)]
        for key, value in self.items:
            words += [key, value & (1 << 64) - 1]
        return struct.pack(f"<{len(words)}Q", *words)


# ---- the guest's memory ----


@cache
def memory() -> bytes:
    """The guest's memory as every operation finds it."""
    content = bytearray(PAGES * PAGE)

    def put(address: int, value: int, size: int = 8) -> None:
        offset = address - AREA
        content[offset : offset + size] = value.to_bytes(size, "little")

    for number, code in enumerate(PROGRAMS):
        offset = number * PROGRAM_SIZE
        content[offset : offset + len(code)] = code
    for n, descriptor in enumerate((0, 0xCF9B000000FFFF, 0xCF93000000FFFF, 0xAF9B000000FFFF, 0xCF93000000FFFF)):
        put(GDT + 8 * n, descriptor)
    put(GDT + 0x28, 0x0000_8B00_0000_0067 | (TSS & 0xFFFFFF) << 16 | (TSS >> 24) << 56)
    for n in range(64):  # an IDT that leads to the first program, which is VMCALL
        put(TABLES + 0xC00 + 16 * n, (CODE & 0xFFFF) | 0x18 << 16 | 0x8E00 << 32 | (CODE >> 16 & 0xFFFF) << 48)

    # Identity: the first MiB, its own memory, everything from 3 GiB on, and two places above 4 GiB.
    put(PML4, PDPT | 7)
    put(PDPT, PD | 7)
    put(PDPT + 24, PD3 | 7)
    put(PDPT + 32, PD_HIGH | 7)
    put(PD, PT_LOW | 7)
    put(PD + 8 * (AREA >> 21), PT | 7)
    for n in range(256):
        put(PT_LOW + 8 * n, n * PAGE | 7)
    for n in range(PAGES):
        put(PT + 8 * n, AREA + n * PAGE | 7)
    for n in range(512):
        put(PD3 + 8 * n, 0xC0000000 + (n << 21) | 0xE7)
    put(PD_HIGH, 0x100000000 | 0xE7)
    put(PD_HIGH + 8, 0x80000000 | 0xE7)
    put(PAE_PDPT, PD | 1)
    put(PAE_PDPT + 24, PD3 | 1)
    for n in range(1024):
        if n == AREA >> 22 or n >= 768:
            put(PD32 + 4 * n, n << 22 | 0xE7, 4)
    put(PD32, PT32 | 7, 4)
    for n in range(256):  # the code below 64 KiB, where virtual-8086 mode finds it, then identity
        put(PT32 + 4 * n, (AREA if n < 16 else 0) + n * PAGE | 7, 4)

    # EPT: RAM can be read, the guest's own pages and device memory can be used.
    put(EPT4, EPT3 | 7)
    put(EPT3, EPT2 | 7)
    put(EPT3 + 24, EPT2_MMIO | 7)
    for n in range(32):
        put(EPT2 + 8 * n, n << 21 | 0xB1)
    put(EPT2 + 8 * (AREA >> 21), EPT1 | 7)
    for n in range(PAGES):
        put(EPT1 + 8 * n, AREA + n * PAGE | 0x37)
    for n in range(512):
        put(EPT2_MMIO + 8 * n, 0xC0000000 + (n << 21) | 0x87)

    for n, (index, value) in enumerate(((0x174, 8), (0xC0000081, 0), (0x277, 0x0007040600070406), (0x9B, 1))):
        put(MSRS + 16 * n, index)
        put(MSRS + 16 * n + 8, value)
    for n in range(0, PAGE, 8):
        put(IO_A + n, 0x5555AAAA3333CCCC)
        put(MSR_BITMAP + n, 0x00FF00FF0F0F3333)
    put(EPTP_LIST, EPT4 | EPTP_4_LEVELS_WB)
    return bytes(content)


def word(address: int) -> int:
    """A word of the guest's memory as every operation finds it."""
    offset = address - AREA
    return int.from_bytes(memory()[offset : offset + 8], "little")


def field_offset(key: int) -> int:
    """Where this machine keeps a field in the VMCS region (vmcs-layout.h); a secret to any other program."""
    groups = (924, 928, 928, 960, 64, 248, 256, 328, 720, 792, 824, 920, 352, 416, 464, 624)
    slot = 8 if key >> 13 & 1 else 4
    return groups[(key >> 13 & 3) * 4 + (key >> 10 & 3)] + (key >> 1 & 0x1FF) * slot


# ---- the guest's VMCS ----


def base(caps: Capabilities, mode: Mode = Mode.LONG, program: int = JUST_VMCALL, ept: bool = False) -> dict[int, int]:
    """The fields of a correct guest of a mode that runs a program.

    Modes without paging need EPT.  Fields that are not here have the values of
    ``vmcs_fill_guest()``; the host is the image.
    """
    ept = ept or mode in (Mode.FLAT_32, Mode.REAL)
    secondary = (VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST) if ept else 0
    entry = VMX_ENTRY_LOAD_EFER | (VMX_ENTRY_IA32E_GUEST if mode <= Mode.COMPATIBILITY else 0)
    fields = {
        PIN: caps.adjust(caps.pin, PIN_BASE),
        PROC: caps.adjust(caps.proc, VMX_CPU_HLT | VMX_CPU_UNCONDITIONAL_IO | VMX_CPU_SECONDARY_CONTROLS),
        PROC2: caps.adjust(caps.proc2, secondary),
        EXIT: caps.adjust(caps.exit, EXIT_BASE),
        ENTRY: caps.adjust(caps.entry, entry),
        EPTP: EPT4 | EPTP_4_LEVELS_WB,
        EXCEPTIONS: 0xFFFFFFFF,
        CR0: caps.cr0,
        CR3: PML4,
        CR4: caps.cr4,
        EFER: 0x500 if mode <= Mode.COMPATIBILITY else 0,
        RIP: CODE + program * PROGRAM_SIZE,
        RSP: STACK + PAGE - 64,
        GDTR_BASE: GDT,
        GDTR_LIMIT: 0x37,
        IDTR_BASE: TABLES + 0xC00,
        IDTR_LIMIT: 0,
        BASES + 2 * TR: TSS,
    }
    if mode >= Mode.COMPATIBILITY:
        fields |= {RIGHTS + 2 * CS: 0xC09B, SELECTORS + 2 * CS: 8}
    if mode is Mode.PAE:
        fields |= {CR3: PAE_PDPT, PDPTE0: PD | 1, PDPTE0 + 2: 0, PDPTE0 + 4: 0, PDPTE0 + 6: PD3 | 1}
    if mode >= Mode.PAGED_32:
        fields |= {CR3: PD32, CR4: caps.cr4 & ~0x20 | 0x10}
    if mode in (Mode.FLAT_32, Mode.REAL):
        fields |= {CR0: caps.cr0 & ~(1 << 31 | (mode is Mode.REAL))}
    if mode in (Mode.REAL, Mode.VIRTUAL_8086):
        fields |= _segments_of_64_kib(mode is Mode.REAL, program)
    return fields


def _segments_of_64_kib(real: bool, program: int) -> dict[int, int]:
    """Segments of real mode, whose bases may be anywhere, or of virtual-8086 mode, whose code is at 0."""
    fields = {RIP: program * PROGRAM_SIZE, RSP: 0x100 - 16}
    for segment in range(LDTR):
        where = (CODE if segment == CS else STACK) - (0 if real else AREA)
        rights = 0x9B if segment == CS else 0x93
        fields |= {
            SELECTORS + 2 * segment: where >> 4 & 0xFFFF,
            BASES + 2 * segment: where,
            LIMITS + 2 * segment: 0xFFFF,
            RIGHTS + 2 * segment: rights if real else 0xF3,
        }
    if not real:
        fields |= {RFLAGS: 1 << 17 | 2}
    return fields


def entry(name: str, fields: dict[int, int], expect: str = "") -> Operation:
    """A VM entry with these fields."""
    return Operation(name, Kind.ENTRY, tuple(fields.items()), expect)


def blob(operations: list[Operation], timer: int, racer: bool = False) -> bytes:
    """What is placed in RAM at BLOB.

    Args:
        operations: the batch.
        timer: units of the preemption timer after which a guest that loops is stopped.
        racer: whether a second processor changes the guest's tables all the time.
    """
    header = struct.pack("<5Q", _MAGIC, len(operations), PAGES, timer, racer).ljust(PAGE, b"\0")
    return header + memory() + b"".join(operation.encode() for operation in operations)


# ---- outcomes ----

# Exit reasons that a guest outside SMM can cause on this machine.
EXITS = frozenset({0, 1, 2, 3, 4, 7, 8, 9, 10, *range(12, 17), *range(18, 33), 36, 37, 39, 40, 43, 44})
EXITS |= frozenset({46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 57, 58, 59, 61, 63, 64})
_MSR_LIST = 512
_CF, _ZF, _EXITED = 1, 0x40, 1 << 31
_NUMBER = r"0x[0-9a-f]+"
_ENTRY_LINE = re.compile(
    rf"ENTRY index=(\d+) step=(\d+) flags=({_NUMBER}) error=({_NUMBER}) reason=({_NUMBER}) qualification=({_NUMBER})"
)
_RESULT_LINE = re.compile(rf"RESULT index=(\d+) what=(\w+) flags=({_NUMBER}) error=({_NUMBER})")
_OPERAND_LINE = re.compile(rf"OPERAND index=(\d+) fault=({_NUMBER})((?: {_NUMBER})+)")
_BEGIN_LINE = re.compile(r"BEGIN index=(\d+)")
_CAPS_LINE = re.compile(r"(?:CAPS|CONTROL) .*")


@dataclass
class Done:
    """What one operation did: texts such as ``fail-7``, ``exit-48``, ``entry-33-4``, ``abort``; and what is wrong."""

    outcomes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def _entry_outcome(done: Done, flags: int, error: int, reason: int, qualification: int) -> None:
    basic = reason & 0xFFFF
    if flags == _ZF:
        done.outcomes.append(f"fail-{error}")
        if error not in (7, 8):
            done.problems.append(f"VM entry fails with VM-instruction error {error}")
    elif flags != _EXITED:
        done.outcomes.append(f"flags-{flags:#x}")
        done.problems.append(f"VM entry ended with RFLAGS {flags:#x}")
    elif reason >> 31:
        done.outcomes.append(f"entry-{basic}-{qualification}")
        right = {33: qualification in (0, 2, 3, 4), 34: 1 <= qualification <= _MSR_LIST + 1}
        if reason not in (0x80000021, 0x80000022) or not right[basic]:
            done.problems.append(f"entry failure {reason:#x} with qualification {qualification:#x}")
    else:
        done.outcomes.append(f"exit-{basic}")
        if reason not in EXITS:
            done.problems.append(f"exit reason {reason:#x}")


def read_log(log: str, count: int) -> tuple[list[Done], int]:
    """What every operation of a run did, and how many had begun."""
    results = [Done() for _ in range(count)]
    begun = 0
    for text in log.splitlines():
        if match := _BEGIN_LINE.fullmatch(text):
            begun = int(match[1]) + 1
        elif match := _ENTRY_LINE.fullmatch(text):
            _entry_outcome(results[int(match[1])], *(int(match[n], 16) for n in range(3, 7)))
        elif match := _RESULT_LINE.fullmatch(text):
            flags, error = int(match[3], 16), int(match[4], 16)
            kind = {0: "succeeds", _CF: "invalid", _ZF: f"fail-{error}"}.get(flags, f"flags-{flags:#x}")
            results[int(match[1])].outcomes.append(f"{match[2]}-{kind}")
        elif match := _OPERAND_LINE.fullmatch(text):
            results[int(match[1])].outcomes.append(f"fault-{match[2]}")
        elif text.startswith("NOFIELD"):
            begun = max(begun, 1)
            results[begun - 1].problems.append(text)
    return results, begun


def capabilities(log: str) -> Capabilities:
    """The CAPS and CONTROL lines of a run."""
    values: dict[str, int] = {}
    for text in log.splitlines():
        if _CAPS_LINE.fullmatch(text):
            values |= {key: int(value, 0) for key, value in (word.split("=") for word in text.split()[1:])}
    return Capabilities(**values)
