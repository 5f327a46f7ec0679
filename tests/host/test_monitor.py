# SPDX-License-Identifier: BSD-2-Clause-Patent
"""VmxMonitorLib, what STM and executive monitor do alike, against the SDM's rules written down again here."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.conftest import Build

PARTS = ("Capability", "ControlRegister", "Dispatch", "HostState", "Instruction")
NAMES = ("rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "top")
NUMBERED = (*NAMES[:4], "rsp", *NAMES[4:15])

QUALIFICATION, INSTRUCTION_LENGTH = 0x6400, 0x440C
CR0_MASK, CR4_MASK, CR0_SHADOW, CR4_SHADOW = 0x6000, 0x6002, 0x6004, 0x6006
GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_RSP, GUEST_RIP, GUEST_RFLAGS = 0x6800, 0x6802, 0x6804, 0x681C, 0x681E, 0x6820
INTERRUPTIBILITY, DEBUGCTL, PENDING_DEBUG = 0x4824, 0x2802, 0x6822
ENTRY_INTERRUPTION, ENTRY_ERROR_CODE = 0x4016, 0x4018
INJECT_GP, INJECT_UD = 0x8000_0B0D, 0x8000_0306

MSR_BASIC, MSR_PROC, MSR_PROC2, MSR_EPT_VPID = 0x480, 0x482, 0x48B, 0x48C
MSR_CR0_FIXED1, MSR_CR4_FIXED1 = 0x487, 0x489
TRUE_CONTROLS = 1 << 55
PLAIN, TRUE = (0x481, 0x482, 0x483, 0x484), (0x48D, 0x48E, 0x48F, 0x490)

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


class Registers(ctypes.Structure):
    """VMX_REGISTERS."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in NAMES)


@dataclass
class Processor:
    """The stub's processor."""

    library: ctypes.CDLL

    def __post_init__(self) -> None:
        self.library.TestStart()
        self.vmcs = (ctypes.c_uint64 * 0x8000).in_dll(self.library, "TestVmcs")
        self.vmcs[GUEST_CR0] = 1  # not in real mode

    def number(self, name: str) -> int:
        """A counter of the stub."""
        return ctypes.c_uint32.in_dll(self.library, name).value

    def msr(self, number: int, value: int) -> None:
        self.library.TestSetMsr(ctypes.c_uint64(number), ctypes.c_uint64(value))

    def cpuid(self, leaf: int, subleaf: int, *registers: int) -> None:
        self.library.TestSetCpuid(*(ctypes.c_uint32(value) for value in (leaf, subleaf, *registers)))

    @property
    def injected(self) -> int:
        return self.vmcs[ENTRY_INTERRUPTION]

    @property
    def skipped(self) -> bool:
        return self.vmcs[GUEST_RIP] != 0

    def control_register(self, registers: Registers) -> bool:
        self.vmcs[INSTRUCTION_LENGTH] = 3
        return bool(
            self.library.VmxEmulateControlRegister(ctypes.byref(registers), self.library.TestGuestMemory) & 0xFF
        )

    def memory(self, address: int, contents: bytes) -> None:
        """The only page of the guest's memory; elsewhere there is nothing."""
        ctypes.c_uint64.in_dll(self.library, "TestMemoryAddress").value = address
        (ctypes.c_char * 4096).in_dll(self.library, "TestMemory").raw = contents.ljust(4096, b"\0")


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library(
        "monitor", "tests/host/monitor_stub.c", *(f"StmPkg/Library/VmxMonitorLib/{part}.c" for part in PARTS)
    )


Make = Callable[[], Processor]


@pytest.fixture(scope="module")
def make(library: ctypes.CDLL) -> Make:
    """A function that gives a fresh processor."""
    return lambda: Processor(library)


# ---- what all emulation needs


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 15), st.integers(0, 31), st.booleans(), st.booleans(), st.booleans())
def test_skip(make: Make, rip: int, length: int, blocking: int, tf: bool, btf: bool, enabled: bool) -> None:
    cpu = make()
    cpu.vmcs[GUEST_RIP], cpu.vmcs[INSTRUCTION_LENGTH] = rip, length
    cpu.vmcs[INTERRUPTIBILITY] = blocking
    cpu.vmcs[GUEST_RFLAGS] = 2 | tf << 8 | enabled << 9
    cpu.vmcs[DEBUGCTL] = btf << 1
    cpu.vmcs[PENDING_DEBUG] = 0b101
    cpu.library.VmxSkipInstruction()
    assert cpu.vmcs[GUEST_RIP] == rip + length
    assert cpu.vmcs[INTERRUPTIBILITY] == blocking & ~0b11, "STI and MOV SS, and nothing else"
    assert cpu.vmcs[PENDING_DEBUG] == 0b101 | (1 << 14 if tf and not btf else 0)


@pytest.mark.parametrize(("vector", "field"), [(6, INJECT_UD), (13, INJECT_GP)])
def test_injected_exception(make: Make, vector: int, field: int) -> None:
    cpu = make()
    cpu.vmcs[ENTRY_ERROR_CODE] = 0x77
    cpu.library.VmxInjectException(ctypes.c_uint8(vector))
    assert cpu.injected == field
    assert cpu.vmcs[ENTRY_ERROR_CODE] == (0 if vector == 13 else 0x77)
    assert not cpu.skipped


def test_no_error_code_in_real_mode(make: Make) -> None:
    """VM entry refuses one there ("Checks on VM-Entry Control Fields")."""
    cpu = make()
    cpu.vmcs[GUEST_CR0] = 1 << 5
    cpu.library.VmxInjectException(ctypes.c_uint8(13))
    assert cpu.injected == INJECT_GP & ~(1 << 11)


# ---- CPUID, INVD, XSETBV


@settings(deadline=None)
@given(st.sampled_from([(1, 0), (1, 5), (7, 0), (7, 1), (0xD, 0), (0x8000_0001, 0)]), u32, u64)
def test_cpuid_mirrors_the_guests_cr4(make: Make, leaf: tuple[int, int], ecx: int, cr4: int) -> None:
    cpu = make()
    cpu.cpuid(*leaf, 0x11, 0x22, ecx, 0x44)
    cpu.vmcs[GUEST_CR4] = cr4
    cpu.vmcs[INSTRUCTION_LENGTH] = 2
    registers = Registers(rax=0xF << 32 | leaf[0], rcx=0xF << 32 | leaf[1])
    cpu.library.VmxEmulateCpuid(ctypes.byref(registers))
    expected = ecx
    if leaf[0] == 1:
        expected = ecx & ~(1 << 27) | (cr4 >> 18 & 1) << 27
    elif leaf == (7, 0):
        expected = ecx & ~(1 << 4) | (cr4 >> 22 & 1) << 4
    assert (registers.rax, registers.rbx, registers.rcx, registers.rdx) == (0x11, 0x22, expected, 0x44)
    assert cpu.vmcs[GUEST_RIP] == 2


def test_invd_writes_back(make: Make) -> None:
    cpu = make()
    cpu.vmcs[INSTRUCTION_LENGTH] = 2
    cpu.library.VmxEmulateInvd()
    assert cpu.number("TestFlushes") == 1 and cpu.vmcs[GUEST_RIP] == 2


def xcr0_is_valid(supported: int, value: int) -> bool:
    """SDM volume 1, "Enabling the XSAVE Feature Set and XSAVE-Enabled Features", 13.3, sentence by sentence."""
    bit = [value >> number & 1 for number in range(64)]
    return (
        value & ~supported == 0
        and bit[0] == 1
        and not (bit[2] and not bit[1])
        and bit[3] == bit[4]
        and bit[5] == bit[6] == bit[7]
        and not (bit[5] and not bit[2])
        and bit[17] == bit[18]
    )


XCR0_BITS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 17, 18, 63)


def subset(choice: int) -> int:
    return sum(1 << number for index, number in enumerate(XCR0_BITS) if choice >> index & 1)


@settings(deadline=None, max_examples=500)
@given(st.integers(0, 2**12 - 1), st.integers(0, 2**12 - 1), st.sampled_from([0, 0, 0, 1, 2**32 - 1]))
def test_xsetbv(make: Make, supported: int, value: int, index: int) -> None:
    cpu = make()
    supported, value = subset(supported) | 1, subset(value)
    cpu.cpuid(0xD, 0, supported & 0xFFFF_FFFF, 0, 0, supported >> 32)
    registers = Registers(rax=0xF << 32 | value & 0xFFFF_FFFF, rdx=0xF << 32 | value >> 32, rcx=0xF << 32 | index)
    seen = ctypes.c_uint64()
    accepted = bool(cpu.library.VmxCheckXsetbv(ctypes.byref(registers), ctypes.byref(seen)) & 0xFF)
    assert accepted == (index == 0 and xcr0_is_valid(supported, value))
    assert cpu.injected == (0 if accepted else INJECT_GP)
    assert not accepted or seen.value == value
    assert not cpu.skipped, "stepping over it is the monitor's, after AsmXSetBv"


def test_every_combination_of_xcr0(make: Make) -> None:
    library = make().library
    everything = subset(2**12 - 1)
    for choice in range(2**12):
        value = subset(choice)
        accepted = library.VmxIsXcr0Valid(ctypes.c_uint64(everything), ctypes.c_uint64(value)) & 0xFF
        assert bool(accepted) == xcr0_is_valid(everything, value), hex(value)


# ---- control registers

PE, NE, NW, CD, PG = 1 << 0, 1 << 5, 1 << 29, 1 << 30, 1 << 31
PAE, VMXE, PCIDE = 1 << 5, 1 << 13, 1 << 17
MOV_TO, MOV_FROM, CLTS, LMSW = range(4)

cr0_value = st.builds(
    lambda kept, base: base | kept,
    st.sampled_from([0, PE, PG, PE | PG, PE | PG | NE, PE | PG | CD, PE | PG | NW, PE | PG | NW | CD]),
    st.sampled_from([0, NE, 1 << 16, 1 << 33, 0x50]),
)


@settings(deadline=None)
@given(cr0_value)
def test_mov_to_cr0(make: Make, value: int) -> None:
    cpu = make()
    cpu.msr(MSR_CR0_FIXED1, 0xFFFF_FFFF)
    cpu.vmcs[CR0_MASK], cpu.vmcs[GUEST_CR0] = PE | NE | PG, PE | NE | PG | 2
    cpu.vmcs[QUALIFICATION] = 0 | MOV_TO << 4
    assert cpu.control_register(Registers(rax=value))
    legal = value & PE and value & PG and not (value & NW and not value & CD) and value < 2**32
    if legal:
        assert cpu.vmcs[GUEST_CR0] == value | NE and cpu.vmcs[CR0_SHADOW] == value
        assert cpu.skipped and cpu.injected == 0
    else:
        assert cpu.vmcs[GUEST_CR0] == PE | NE | PG | 2 and cpu.injected == INJECT_GP and not cpu.skipped


@settings(deadline=None)
@given(st.sampled_from([0, PAE]), st.sampled_from([0, VMXE]), st.sampled_from([0, 1 << 4, 1 << 18, 1 << 31, 1 << 32]))
def test_mov_to_cr4(make: Make, pae: int, vmxe: int, other: int) -> None:
    cpu = make()
    cpu.msr(MSR_CR4_FIXED1, 0x7F_FFFF)
    cpu.vmcs[CR4_MASK], cpu.vmcs[GUEST_CR4] = VMXE, VMXE | PAE
    cpu.vmcs[QUALIFICATION] = 4 | MOV_TO << 4 | 11 << 8
    value = pae | vmxe | other
    assert cpu.control_register(Registers(r11=value))
    if pae and not vmxe and value <= 0x7F_FFFF:
        assert cpu.vmcs[GUEST_CR4] == value | VMXE, "the monitor's bit stays"
        assert cpu.vmcs[CR4_SHADOW] == value, "the guest sees what it wrote"
        assert cpu.skipped and cpu.injected == 0
    else:
        assert cpu.vmcs[GUEST_CR4] == VMXE | PAE and cpu.injected == INJECT_GP and not cpu.skipped


@pytest.mark.parametrize("number", range(16))
def test_cr3_with_every_register(make: Make, number: int) -> None:
    """Bits 11:8 of the qualification; RSP, number 4, is a VMCS field."""
    cpu = make()
    cpu.cpuid(0x8000_0008, 0, 40, 0, 0, 0)
    registers = Registers(**{name: 0x1000 * (index + 1) for index, name in enumerate(NAMES)})
    cpu.vmcs[GUEST_RSP] = 0x8_8000
    cpu.vmcs[QUALIFICATION] = 3 | MOV_TO << 4 | number << 8
    assert cpu.control_register(registers)
    name = NUMBERED[number]
    assert cpu.vmcs[GUEST_CR3] == (0x8_8000 if name == "rsp" else getattr(registers, name))
    cpu.vmcs[GUEST_CR3] = 0x55_5000
    cpu.vmcs[QUALIFICATION] = 3 | MOV_FROM << 4 | number << 8
    before = {other: getattr(registers, other) for other in NAMES}
    assert cpu.control_register(registers)
    if name == "rsp":
        assert cpu.vmcs[GUEST_RSP] == 0x55_5000
        assert {other: getattr(registers, other) for other in NAMES} == before
    else:
        assert {other: getattr(registers, other) for other in NAMES} == before | {name: 0x55_5000}
    assert cpu.vmcs[GUEST_RIP] == 6 and cpu.injected == 0


@pytest.mark.parametrize(
    ("value", "cr4", "stored"),
    [
        (1 << 39, 0, 1 << 39),
        (1 << 40, 0, None),
        (1 << 63 | 0x5000, 0, None),
        (1 << 63 | 0x5000, PCIDE, 0x5000),
    ],
)
def test_reserved_bits_of_cr3(make: Make, value: int, cr4: int, stored: int | None) -> None:
    cpu = make()
    cpu.cpuid(0x8000_0008, 0, 0x3028, 0, 0, 0)
    cpu.vmcs[GUEST_CR3], cpu.vmcs[GUEST_CR4] = 0x1000, cr4
    cpu.vmcs[QUALIFICATION] = 3 | MOV_TO << 4
    assert cpu.control_register(Registers(rax=value))
    assert cpu.vmcs[GUEST_CR3] == (0x1000 if stored is None else stored)
    assert cpu.injected == (INJECT_GP if stored is None else 0)


@pytest.mark.parametrize(
    ("register", "kind"), [(0, CLTS), (0, LMSW), (0, MOV_FROM), (4, MOV_FROM), (8, MOV_TO), (8, MOV_FROM)]
)
def test_accesses_that_no_mask_lets_exit(make: Make, register: int, kind: int) -> None:
    cpu = make()
    cpu.vmcs[QUALIFICATION] = register | kind << 4
    before = cpu.number("TestWrites")
    assert not cpu.control_register(Registers())
    assert cpu.number("TestWrites") == before


# ---- capabilities


@settings(deadline=None)
@given(st.integers(0, 3), st.booleans(), u32, u32, u32, u32)
def test_legal_controls(make: Make, which: int, true: bool, wanted: int, default: int, must: int, may: int) -> None:
    """The TRUE MSR holds where IA32_VMX_BASIC[55] is 1, and is not touched where it is 0."""
    cpu = make()
    may |= must
    cpu.msr(MSR_BASIC, TRUE_CONTROLS if true else 0)
    cpu.msr(PLAIN[which], (may | default) << 32 | must | default)
    if true:
        cpu.msr(TRUE[which], may << 32 | must)
    low, high = (must, may) if true else (must | default, may | default)
    legal = cpu.library.VmxLegalControls(ctypes.c_uint32(wanted), ctypes.c_uint32(PLAIN[which])) & 0xFFFF_FFFF
    assert legal == (wanted | low) & high
    assert cpu.number("TestMissingMsrs") == 0
    msr = cpu.library.VmxCapabilityMsr(ctypes.c_uint32(PLAIN[which]))
    assert msr == (TRUE[which] if true else PLAIN[which])


@pytest.mark.parametrize("true", [0, TRUE_CONTROLS])
def test_secondary_controls_have_no_true_msr(make: Make, true: int) -> None:
    cpu = make()
    cpu.msr(MSR_BASIC, true)
    cpu.msr(MSR_PROC2, 0b1010 << 32)
    assert cpu.library.VmxLegalControls(ctypes.c_uint32(0b1110), ctypes.c_uint32(MSR_PROC2)) == 0b1010
    assert cpu.number("TestMissingMsrs") == 0


@settings(deadline=None)
@given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 15))
def test_needed_controls(make: Make, wanted: int, needed: int, may: int) -> None:
    cpu = make()
    needed &= wanted
    cpu.msr(MSR_BASIC, 0)
    cpu.msr(PLAIN[0], may << 32)
    arguments = (ctypes.c_uint32(value) for value in (0x4000, PLAIN[0], wanted, needed))
    cpu.vmcs[0x4000] = 0x99
    written = bool(cpu.library.VmxWriteControls(*arguments) & 0xFF)
    assert written == (needed & ~may == 0)
    assert cpu.vmcs[0x4000] == (wanted & may if written else 0x99)


@settings(deadline=None)
@given(st.sampled_from([0, 6, 7, 0xC, 0xD, 0x20]), st.booleans(), st.booleans(), st.booleans())
def test_pass_through_controls(make: Make, maximum: int, rdtscp: bool, invpcid: bool, xsaves: bool) -> None:
    """A leaf beyond the maximum answers for another leaf, so it is not asked."""
    cpu = make()
    cpu.cpuid(0, 0, maximum, 0, 0, 0)
    cpu.cpuid(0x8000_0001, 0, 0, 0, 0, rdtscp << 27)
    cpu.cpuid(7, 0, 0, invpcid << 10, 0, 0)
    cpu.cpuid(0xD, 1, xsaves << 3, 0, 0, 0)
    expected = rdtscp << 3 | (invpcid and maximum >= 7) << 12 | (xsaves and maximum >= 0xD) << 20
    assert cpu.library.VmxPassThroughControls() == expected


@pytest.mark.parametrize(
    ("primary", "secondary", "answer"), [(1 << 63, 1 << 33, 0x66), (1 << 63, 1 << 37, 0), (1 << 62, None, 0)]
)
def test_ept_capability(make: Make, primary: int, secondary: int | None, answer: int) -> None:
    """No MSR is read that the processor does not have."""
    cpu = make()
    cpu.msr(MSR_PROC, primary)
    if secondary is not None:
        cpu.msr(MSR_PROC2, secondary)
    if answer:
        cpu.msr(MSR_EPT_VPID, answer)
    cpu.library.VmxReadEptCapability.restype = ctypes.c_uint64
    assert cpu.library.VmxReadEptCapability() == answer
    assert cpu.number("TestMissingMsrs") == 0


# ---- dispatch, host state, the end


@pytest.mark.parametrize(
    ("maximum", "logical", "topology", "initial", "answer"),
    [
        (0xB, 2, 0x12345678, 0x55, 0x12345678),  # leaf 0BH: 32 bits
        (0xB, 0, 0x12345678, 0x55, 0x55),  # the leaf is there and enumerates nothing
        (0xA, 2, 0x12345678, 0x55, 0x55),  # no such leaf
        (0x1, 0, 0, 0xFF, 0xFF),
    ],
)
def test_apic_identifier(make: Make, maximum: int, logical: int, topology: int, initial: int, answer: int) -> None:
    """CPUID, leaf 0BH: EDX, valid if EBX[15:0] is not 0; leaf 01H: EBX[31:24]."""
    cpu = make()
    cpu.cpuid(0, 0, maximum, 0, 0, 0)
    cpu.cpuid(0xB, 0, 0, logical, 0, topology)
    cpu.cpuid(1, 0, 0, initial << 24 | 0x00112233, 0, 0)
    cpu.library.VmxReadApicId.restype = ctypes.c_uint32
    assert cpu.library.VmxReadApicId() == answer


def test_dispatch(make: Make) -> None:
    """Every basic reason finds its place; the flags of an SMM VM exit do not matter, a failed entry does.

    GETSEC, VMCLEAR to VMXON, INVEPT, INVVPID and VMFUNC share the last place unless the table says otherwise, as here
    for VMRESUME; VMCALL does not.
    """
    find = make().library.VmxFindExitHandler
    find.restype = ctypes.c_void_p
    table = (ctypes.c_uint64 * 66)(*(0x1000 + index for index in range(66)))
    shared = {11, *range(19, 28), 50, 53, 59}
    for empty in {18, 40} | shared - {24}:
        table[empty] = 0
    for reason in range(0x100):
        expected = 0x1000 + reason if reason < 65 and reason not in (18, 40) else None
        if reason in shared and reason != 24:
            expected = 0x1000 + 65
        for flags in (0, 1 << 27, 1 << 28, 1 << 29, 7 << 27):
            assert find(table, ctypes.c_uint32(reason | flags)) == expected
            assert find(table, ctypes.c_uint32(reason | flags | 1 << 31)) is None


def test_host_tables(make: Make) -> None:
    cpu = make()
    size = 5 * 8 + 0x68
    memory = (ctypes.c_uint8 * size)(*([0xFF] * size))
    cpu.library.VmxBuildHostTables(memory, ctypes.c_uint64(0x1234_5678_9ABC))
    null, code, data, low, high = struct.unpack_from("<5Q", memory, 0)
    assert (null, code, data) == (0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
    base = (low >> 16 & 0xFF_FFFF) | (low >> 56) << 24 | (high & 0xFFFF_FFFF) << 32
    assert base == ctypes.addressof(memory) + 5 * 8
    assert (low & 0xFFFF, low >> 40 & 0xFF, low >> 48 & 0xFF, high >> 32) == (0x67, 0x89, 0, 0)
    tss = bytes(memory)[5 * 8 :]
    assert struct.unpack_from("<Q", tss, 0x24) == (0x1234_5678_9ABC,)
    assert struct.unpack_from("<H", tss, 0x66) == (0x68,)
    assert tss.count(0) == 0x68 - 6 - 1, "nothing else is set"


def test_idt(make: Make) -> None:
    cpu = make()
    gates = (ctypes.c_uint8 * (32 * 16))(*([0xFF] * 512))
    cpu.library.VmxBuildIdt(gates, ctypes.c_uint64(0x1122_3344_5566_7780))
    for vector in range(32):
        low, selector, ist, kind, middle, high, reserved = struct.unpack_from("<HHBBHII", gates, vector * 16)
        assert low | middle << 16 | high << 32 == 0x1122_3344_5566_7780 + 16 * vector
        assert (selector, ist, kind, reserved) == (8, 1, 0x8E, 0)


def test_host_state(make: Make) -> None:
    cpu = make()
    cpu.vmcs[GUEST_CR0] = 0
    cpu.msr(0xC000_0080, 0xD01)
    tables = (ctypes.c_uint8 * (5 * 8 + 0x68))()
    address = ctypes.addressof(tables)
    cpu.library.VmxWriteHostState(tables, *(ctypes.c_uint64(value) for value in (0x1D7, 0x3000, 0x111, 0x222)))
    fields = {
        **{0x6C00: 0xC0, 0x6C02: 0x3000, 0x6C04: 0xC4, 0x6C14: 0x222, 0x6C16: 0x111},
        **{0x0C00: 0x10, 0x0C02: 8, 0x0C04: 0x10, 0x0C06: 0x10, 0x0C08: 0x10, 0x0C0A: 0x10, 0x0C0C: 0x18},
        **{0x6C0A: address + 40, 0x6C0C: address, 0x6C0E: 0x1D7, 0x2C00: 0x0007_0406_0007_0406, 0x2C02: 0xD01},
    }
    assert {field: value for field, value in enumerate(cpu.vmcs) if value} == fields


def test_reset(make: Make) -> None:
    """Port CF9H: system reset, hard, full; then an exception without an IDT."""
    cpu = make()
    cpu.library.VmxResetPlatform()
    ports = (ctypes.c_uint8 * 16).in_dll(cpu.library, "TestPorts")
    assert list(ports[: cpu.number("TestPortWrites")]) == [0x02, 0x06, 0x0E]
    assert cpu.number("TestTripleFaults") == 2
