# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The save-state map: what the STM composes, and what it takes back from a handler.

The expected offsets are QEMU's AMD64 map (do_smm_enter), from SMBASE + 0xFE00.
"""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

UNTOUCHED = 0xA5
MAP_SIZE = 0x200
SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"]
SEGMENT_OFFSETS = {"es": 0, "cs": 0x10, "ss": 0x20, "ds": 0x30, "fs": 0x40, "gs": 0x50, "ldtr": 0x70, "tr": 0x90}
GENERAL = ["rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))]
GENERAL_OFFSETS = {
    "rax": 0x1F8,
    "rcx": 0x1F0,
    "rdx": 0x1E8,
    "rbx": 0x1E0,
    "rbp": 0x1D0,
    "rsi": 0x1C8,
    "rdi": 0x1C0,
} | {f"r{n}": 0x1F8 - 8 * n for n in range(8, 16)}
OTHERS = [
    "gdtr_limit",
    "gdtr_base",
    "idtr_limit",
    "idtr_base",
    "cr0",
    "cr3",
    "cr4",
    "dr7",
    "efer",
    "rsp",
    "rip",
    "rflags",
    "smbase",
    "dr6",
]
OTHER_PLACES = {
    "gdtr_limit": (0x64, "I"),
    "gdtr_base": (0x68, "Q"),
    "idtr_limit": (0x84, "I"),
    "idtr_base": (0x88, "Q"),
    "cr0": (0x158, "I"),
    "cr3": (0x150, "Q"),
    "cr4": (0x148, "I"),
    "dr7": (0x160, "I"),
    "efer": (0xD0, "Q"),
    "rsp": (0x1D8, "Q"),
    "rip": (0x178, "Q"),
    "rflags": (0x170, "I"),
    "smbase": (0x100, "I"),
    "dr6": (0x168, "I"),
}

CHANGED_REGISTERS, CHANGED_RSP, CHANGED_RIP, CHANGED_RFLAGS, CHANGED_SMBASE = (1 << n for n in range(5))
CR4_VMXE = 1 << 13
TSS_BUSY = 1 << 1
RFLAGS_VM = 1 << 17
RFLAGS_DEFINED = 0x003F7FD5

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
rflags = u32.map(lambda value: (value & RFLAGS_DEFINED) | 2)
segment = st.tuples(u16, u32, u32.map(lambda value: value & 0x1F0FF), u64)
state_values = st.fixed_dictionaries(
    {name: u64 for name in OTHERS if OTHER_PLACES[name][1] == "Q"}
    | {name: u32 for name in OTHERS if OTHER_PLACES[name][1] == "I"}
    | {"rflags": rflags}
)
states = st.tuples(st.lists(segment, min_size=8, max_size=8), state_values)
registers = st.lists(u64, min_size=15, max_size=15)

State = tuple[list[tuple[int, int, int, int]], dict[str, int]]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library("savestate", "StmPkg/Library/StmSaveStateLib/StmSaveStateLib.c")


def pack_state(state: State) -> bytearray:
    segments, values = state
    data = b"".join(struct.pack("<4Q", *one) for one in segments)
    return bytearray(data + struct.pack(f"<{len(OTHERS)}Q", *(values[name] for name in OTHERS)))


def unpack_others(data: bytes) -> dict[str, int]:
    return dict(zip(OTHERS, struct.unpack_from(f"<{len(OTHERS)}Q", data, 8 * 32), strict=True))


def pointer(data: bytearray) -> ctypes.Array[ctypes.c_char]:
    return (ctypes.c_char * len(data)).from_buffer(data)


def compose(library: ctypes.CDLL, state: State, general: list[int]) -> bytearray:
    result = bytearray([UNTOUCHED]) * MAP_SIZE
    packed = bytearray(struct.pack("<16Q", *general, 0))
    library.StmSaveStateCompose(pointer(result), pointer(pack_state(state)), pointer(packed))
    return result


def expected_map(state: State, general: list[int]) -> bytearray:
    """The map that QEMU would write for this state, other bytes as they were."""
    result = bytearray([UNTOUCHED]) * MAP_SIZE
    segments, values = state
    for name, (selector, limit, access, base) in zip(SEGMENTS, segments, strict=True):
        struct.pack_into("<HHIQ", result, SEGMENT_OFFSETS[name], selector, access & 0xF0FF, limit, base)
        if name == "tr":
            struct.pack_into("<H", result, SEGMENT_OFFSETS[name] + 2, access & 0xF0FF & ~TSS_BUSY)
    for name, (offset, code) in OTHER_PLACES.items():
        value = values[name] & ~CR4_VMXE if name == "cr4" else values[name]
        struct.pack_into(f"<{code}", result, offset, value)
    struct.pack_into("<I", result, 0xFC, 0x00020064)
    for name, value in zip(GENERAL, general, strict=True):
        struct.pack_into("<Q", result, GENERAL_OFFSETS[name], value)
    return result


def extract(
    library: ctypes.CDLL, composed: bytearray, state: State, general: list[int]
) -> tuple[int, dict[str, int], list[int]]:
    packed_state = pack_state(state)
    packed = bytearray(struct.pack("<16Q", *general, 0))
    library.StmSaveStateExtract.restype = ctypes.c_uint32
    changed = library.StmSaveStateExtract(pointer(composed), pointer(packed_state), pointer(packed))
    return changed, unpack_others(bytes(packed_state)), list(struct.unpack("<16Q", packed)[:15])


@given(state=states, general=registers)
def test_compose_is_the_map_of_qemu(library: ctypes.CDLL, state: State, general: list[int]) -> None:
    assert compose(library, state, general) == expected_map(state, general)


@given(state=states, general=registers)
def test_round_trip_changes_nothing(library: ctypes.CDLL, state: State, general: list[int]) -> None:
    changed, others, after = extract(library, compose(library, state, general), state, general)
    assert (changed, others, after) == (0, state[1], general)


@given(state=states, general=registers, new=registers, rsp=u64, rip=u64, flags=u32, smbase=u32)
def test_handler_may_change(
    library: ctypes.CDLL,
    state: State,
    general: list[int],
    new: list[int],
    rsp: int,
    rip: int,
    flags: int,
    smbase: int,
) -> None:
    composed = compose(library, state, general)
    for name, value in zip(GENERAL, new, strict=True):
        struct.pack_into("<Q", composed, GENERAL_OFFSETS[name], value)
    struct.pack_into("<Q", composed, OTHER_PLACES["rsp"][0], rsp)
    struct.pack_into("<Q", composed, OTHER_PLACES["rip"][0], rip)
    struct.pack_into("<I", composed, OTHER_PLACES["rflags"][0], flags)
    struct.pack_into("<I", composed, OTHER_PLACES["smbase"][0], smbase)
    before = state[1]
    changed, after, registers_after = extract(library, composed, state, general)

    wanted = (flags & RFLAGS_DEFINED & ~RFLAGS_VM) | 2 | (before["rflags"] & RFLAGS_VM)
    assert registers_after == new
    assert after == before | {"rsp": rsp, "rip": rip, "rflags": wanted, "smbase": smbase}
    assert changed == (
        CHANGED_REGISTERS * (new != general)
        | CHANGED_RSP * (rsp != before["rsp"])
        | CHANGED_RIP * (rip != before["rip"])
        | CHANGED_RFLAGS * (wanted != before["rflags"])
        | CHANGED_SMBASE * (smbase != before["smbase"])
    )


@given(state=states, general=registers, noise=st.binary(min_size=MAP_SIZE, max_size=MAP_SIZE))
def test_read_only_members_are_ignored(library: ctypes.CDLL, state: State, general: list[int], noise: bytes) -> None:
    """Whatever a handler writes elsewhere, control registers, segments and EFER stay."""
    composed = compose(library, state, general)
    writable = [*((GENERAL_OFFSETS[name], 8) for name in GENERAL), (0x1D8, 8), (0x178, 8), (0x170, 4), (0x100, 4)]
    garbled = bytearray(noise)
    for offset, size in writable:
        garbled[offset : offset + size] = composed[offset : offset + size]
    changed, others, after = extract(library, garbled, state, general)
    assert (changed, others, after) == (0, state[1], general)
