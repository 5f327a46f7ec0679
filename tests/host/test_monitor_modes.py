# SPDX-License-Identifier: BSD-2-Clause-Patent
"""MOV to CR0 of an unrestricted guest: the changes of mode that the SDM's volume 3 describes ("Mode Switching")."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import pytest

from tests.host.conftest import Build
from tests.host.test_monitor import (
    CR0_MASK,
    CR0_SHADOW,
    GUEST_CR0,
    GUEST_CR3,
    GUEST_CR4,
    INJECT_GP,
    MOV_TO,
    MSR_CR0_FIXED1,
    NE,
    NW,
    PAE,
    PARTS,
    PCIDE,
    PE,
    PG,
    QUALIFICATION,
    Processor,
    Registers,
)

SECONDARY, UNRESTRICTED = 0x401E, 1 << 7
ENTRY_CONTROLS, IA32E = 0x4012, 1 << 9
GUEST_EFER, LME, LMA = 0x2806, 1 << 8, 1 << 10
CS_ACCESS, CODE64, CODE32 = 0x4816, 0xA09B, 0xC09B
PDPTE0 = 0x280A
CPUID_WIDTH = 0x8000_0008


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library(
        "monitor-modes", "tests/host/monitor_stub.c", *(f"StmPkg/Library/VmxMonitorLib/{part}.c" for part in PARTS)
    )


@dataclass(frozen=True)
class Change:
    """CR0 before and after, and what else the outcome depends on."""

    before: int
    value: int
    efer: int = 0
    cr4: int = 0
    cs: int = CODE32


LEGAL = {
    "real to protected": Change(0x10, PE | 0x10),
    "protected to real": Change(PE | 0x10, 0x10),
    "32-bit paging": Change(PE, PE | PG),
    "IA-32e mode, and NE in the same write": Change(PE, PE | PG | NE, LME, PAE),
    "IA-32e mode left from compatibility mode": Change(PE | PG, PE, LME | LMA, PAE),
    "no change of mode": Change(PE | PG, PE | PG | NE, LME | LMA, PAE, CODE64),
}
ILLEGAL = {
    "paging without protection": Change(0x10, PG),
    "IA-32e mode without PAE": Change(PE, PE | PG, LME),
    "IA-32e mode from a 64-bit code segment": Change(PE, PE | PG, LME, PAE, CODE64),
    "paging left in 64-bit mode": Change(PE | PG, PE, LME | LMA, PAE, CODE64),
    "paging left with PCIDE": Change(PE | PG, PE, LME | LMA, PAE | PCIDE),
    "NW without CD": Change(PE, PE | NW),
}


def carry_out(library: ctypes.CDLL, change: Change) -> Processor:
    """A MOV to CR0 of an unrestricted guest."""
    cpu = Processor(library)
    cpu.msr(MSR_CR0_FIXED1, 0xFFFF_FFFF)
    cpu.cpuid(CPUID_WIDTH, 0, 40, 0, 0, 0)
    cpu.vmcs[SECONDARY] = UNRESTRICTED
    cpu.vmcs[ENTRY_CONTROLS] = IA32E if change.efer & LMA else 0
    cpu.vmcs[CR0_MASK], cpu.vmcs[CR0_SHADOW] = NE, change.before
    cpu.vmcs[GUEST_CR0], cpu.vmcs[GUEST_CR4] = change.before | NE, change.cr4
    cpu.vmcs[GUEST_EFER], cpu.vmcs[CS_ACCESS] = change.efer, change.cs
    cpu.vmcs[QUALIFICATION] = 0 | MOV_TO << 4
    assert cpu.control_register(Registers(rax=change.value))
    return cpu


@pytest.mark.parametrize("change", LEGAL.values(), ids=list(LEGAL))
def test_legal_change(library: ctypes.CDLL, change: Change) -> None:
    cpu = carry_out(library, change)
    long_mode = bool(change.value & PG and change.efer & LME)
    assert cpu.skipped and cpu.injected == 0
    assert cpu.vmcs[GUEST_CR0] == change.value | NE and cpu.vmcs[CR0_SHADOW] == change.value
    assert bool(cpu.vmcs[GUEST_EFER] & LMA) == long_mode
    assert bool(cpu.vmcs[ENTRY_CONTROLS] & IA32E) == long_mode


@pytest.mark.parametrize("change", ILLEGAL.values(), ids=list(ILLEGAL))
def test_illegal_change(library: ctypes.CDLL, change: Change) -> None:
    cpu = carry_out(library, change)
    # Real mode has no error codes.
    assert cpu.injected == (INJECT_GP if change.before & PE else INJECT_GP & ~(1 << 11))
    assert not cpu.skipped
    assert cpu.vmcs[GUEST_CR0] == change.before | NE and cpu.vmcs[GUEST_EFER] == change.efer


TABLE, ENTRIES = 0x7FFF_F000, (0x1001, 0x2001, 0, 0x3001)


def pae(library: ctypes.CDLL, entries: tuple[int, ...]) -> Processor:
    """A guest in protected mode, about to use PAE paging with these PDPTEs at offset 32 of its only page."""
    cpu = Processor(library)
    cpu.memory(TABLE, bytes(32) + b"".join(entry.to_bytes(8, "little") for entry in entries))
    cpu.msr(MSR_CR0_FIXED1, 0xFFFF_FFFF)
    cpu.cpuid(CPUID_WIDTH, 0, 40, 0, 0, 0)
    cpu.vmcs[SECONDARY], cpu.vmcs[CR0_MASK] = UNRESTRICTED, NE
    cpu.vmcs[GUEST_CR0], cpu.vmcs[GUEST_CR4] = PE | NE, PAE
    return cpu


def loaded(cpu: Processor) -> list[int]:
    """The PDPTEs in the VMCS."""
    return [cpu.vmcs[PDPTE0 + 2 * index] for index in range(4)]


@pytest.mark.parametrize("register", [0, 3])
@pytest.mark.parametrize(("bad", "accepted"), [(0, True), (1 << 1, False), (1 << 40, False)])
def test_pae_paging_loads_pdptes(library: ctypes.CDLL, bad: int, accepted: bool, register: int) -> None:
    """Four entries, taken at once; a reserved bit in one that is present refuses all."""
    entries = (*ENTRIES[:3], ENTRIES[3] | bad)
    cpu = pae(library, entries)
    cpu.vmcs[QUALIFICATION] = register | MOV_TO << 4
    if register == 0:
        cpu.vmcs[GUEST_CR3] = TABLE + 32
        assert cpu.control_register(Registers(rax=PE | PG))
    else:
        cpu.vmcs[GUEST_CR0] |= PG
        assert cpu.control_register(Registers(rax=TABLE + 32))
        assert cpu.vmcs[GUEST_CR3] == (TABLE + 32 if accepted else 0)
    assert cpu.skipped == accepted and cpu.injected == (0 if accepted else INJECT_GP)
    assert loaded(cpu) == (list(entries) if accepted else [0] * 4)


@pytest.mark.parametrize("register", [0, 3])
def test_pdptes_in_memory_that_the_guest_does_not_have(library: ctypes.CDLL, register: int) -> None:
    """What the monitor keeps there is not read: all ones are no PDPTEs."""
    cpu = pae(library, ENTRIES)
    cpu.vmcs[QUALIFICATION] = register | MOV_TO << 4
    cpu.vmcs[GUEST_CR3] = TABLE + 0x1000
    cpu.vmcs[GUEST_CR0] |= PG if register == 3 else 0
    assert cpu.control_register(Registers(rax=PE | PG if register == 0 else TABLE + 0x1000))
    assert not cpu.skipped and cpu.injected == INJECT_GP
    assert loaded(cpu) == [0] * 4


def test_cr3_of_long_mode_has_no_pdptes(library: ctypes.CDLL) -> None:
    cpu = pae(library, ENTRIES)
    cpu.vmcs[QUALIFICATION] = 3 | MOV_TO << 4
    cpu.vmcs[GUEST_CR0], cpu.vmcs[GUEST_EFER] = PE | PG | NE, LME | LMA
    assert cpu.control_register(Registers(rax=TABLE + 32))
    assert cpu.skipped and loaded(cpu) == [0] * 4
