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

WROTE_RSP, WROTE_RIP, WROTE_RFLAGS, WROTE_SMBASE, WROTE_ACTIVITY, WROTE_BLOCKING = (1 << n for n in range(6))
CRASHED = 1 << 31
UNCONFINED = 1 << 32
ACTIVE, HLT = 0, 1
BLOCKING_BY_STI = 1
RFLAGS_IF = 1 << 9
SMRAM_SIZE = 0x11_0000
WRITABLE = ("rsp", "rip", "rflags", "smbase")
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


class Side(ctypes.Structure):
    """TEST_SIDE: VMCS fields of the interrupted side."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("rsp", "rip", "rflags", "smbase", "activity", "blocking"))

    def values(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name, *_ in self._fields_)


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    files = ("tests/host/interrupted_stub.c", "StmPkg/Stm/State/Interrupted.c")
    library = build_library("savestate", *files, "StmPkg/Library/StmSaveStateLib/StmSaveStateLib.c", lazy=True)
    library.TestSmbase.restype = ctypes.c_uint64
    library.TestMap.restype = ctypes.c_void_p
    library.TestTakeBack.restype = ctypes.c_uint32
    return library


def pack_state(state: State) -> bytearray:
    segments, values = state
    data = b"".join(struct.pack("<4Q", *one) for one in segments)
    return bytearray(data + struct.pack(f"<{len(OTHERS)}Q", *(values[name] for name in OTHERS)))


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


@given(state=states, general=registers)
def test_compose_is_the_map_of_qemu(library: ctypes.CDLL, state: State, general: list[int]) -> None:
    assert compose(library, state, general) == expected_map(state, general)


sides = st.builds(
    Side, rsp=u64, rip=u64, rflags=rflags, activity=st.sampled_from((ACTIVE, HLT)), blocking=st.integers(0, 15)
)


def interrupted(library: ctypes.CDLL, side: Side) -> tuple[Side, bytearray]:
    """The side with the processor's SMBASE, and the members of the map that its handler finds and may change."""
    side = Side(*side.values())
    side.smbase = library.TestSmbase()
    found = bytearray(MAP_SIZE)
    for name in WRITABLE:
        write(found, name, getattr(side, name))
    return side, found


def write(composed: bytearray, name: str, value: int) -> None:
    offset, code = OTHER_PLACES[name]
    struct.pack_into(f"<{code}", composed, offset, value)


def take_back(
    library: ctypes.CDLL, side: Side, written: bytes | bytearray, confine: int = UNCONFINED, rax: int = 0
) -> tuple[int, Side, int]:
    """What the STM writes to the VMCS after a handler has left `written` in the map, and the side and RAX after it."""
    after, register = Side(*side.values()), ctypes.c_uint64(rax)
    ctypes.memmove(library.TestMap(), bytes(written), MAP_SIZE)
    wrote = library.TestTakeBack(ctypes.byref(after), ctypes.c_uint64(confine), ctypes.byref(register))
    return wrote, after, register.value


@given(side=sides)
def test_handler_that_changes_nothing(library: ctypes.CDLL, side: Side) -> None:
    side, found = interrupted(library, side)
    wrote, after, _ = take_back(library, side, found)
    assert (wrote, after.values()) == (0, side.values())


@given(side=sides, rsp=u64, rip=u64, flags=u32, which=st.sets(st.sampled_from(WRITABLE[:3])))
def test_handler_may_change(library: ctypes.CDLL, side: Side, rsp: int, rip: int, flags: int, which: set[str]) -> None:
    """What changed is written, and nothing else; a halted program that is sent elsewhere runs."""
    side, composed = interrupted(library, side)
    new = {"rsp": rsp, "rip": rip, "rflags": flags}
    for name in which:
        write(composed, name, new[name])
    wrote, after, _ = take_back(library, side, composed)

    wanted = {name: new[name] if name in which else getattr(side, name) for name in new}
    moved = wanted["rip"] != side.rip
    changed = wanted["rflags"] != side.rflags
    if changed:
        wanted["rflags"] = (flags & RFLAGS_DEFINED & ~RFLAGS_VM) | 2 | (side.rflags & RFLAGS_VM)
    assert {name: getattr(after, name) for name in new} == wanted
    assert after.activity == (ACTIVE if moved else side.activity)
    unblocked = changed and not wanted["rflags"] & RFLAGS_IF
    assert after.blocking == side.blocking & ~(BLOCKING_BY_STI if unblocked else 0)
    assert after.smbase == side.smbase
    assert wrote == (
        WROTE_RSP * (wanted["rsp"] != side.rsp)
        | WROTE_RIP * moved
        | WROTE_ACTIVITY * (moved and side.activity == HLT)
        | WROTE_RFLAGS * changed
        | WROTE_BLOCKING * unblocked
    )


@given(side=sides, offset=st.integers(-0x2_0000, SMRAM_SIZE + 0x2_0000), confined=st.booleans())
def test_handler_may_move_smbase(library: ctypes.CDLL, side: Side, offset: int, confined: bool) -> None:
    """Within its SMRAM and at four bytes; anything else ends the STM, since the next SMI could not be served."""
    side, composed = interrupted(library, side)
    write(composed, "smbase", side.smbase + offset)
    wrote, after, _ = take_back(library, side, composed, 0 if confined else UNCONFINED)
    if offset == 0:
        assert wrote == 0
    elif offset % 4 or not 0 <= offset + 0x8000 <= SMRAM_SIZE - 0x8000:
        assert wrote == CRASHED
    else:
        assert (wrote, after.smbase) == (WROTE_SMBASE, side.smbase + offset)


@given(side=sides, noise=st.binary(min_size=MAP_SIZE, max_size=MAP_SIZE))
def test_read_only_members_are_ignored(library: ctypes.CDLL, side: Side, noise: bytes) -> None:
    """Whatever a handler writes elsewhere, control registers, segments and EFER stay."""
    side, found = interrupted(library, side)
    garbled = bytearray(noise)
    for name in WRITABLE:
        offset, code = OTHER_PLACES[name]
        garbled[offset : offset + struct.calcsize(code)] = found[offset : offset + struct.calcsize(code)]
    wrote, after, _ = take_back(library, side, garbled)
    assert (wrote, after.values()) == (0, side.values())


@given(
    side=sides, new=u64, rax=u64, taken=st.sampled_from((0, 0xFF, 0xFFFF, 2**32 - 1)), values=st.lists(u32, min_size=3)
)
def test_protected_domain(library: ctypes.CDLL, side: Side, new: int, rax: int, taken: int, values: list[int]) -> None:
    """Of a protected domain a handler changes what it answers to IN, and nothing else."""
    side, composed = interrupted(library, side)
    for name, value in zip(WRITABLE[:3], values, strict=False):
        write(composed, name, value)
    struct.pack_into("<Q", composed, GENERAL_OFFSETS["rax"], new)
    wrote, after, register = take_back(library, side, composed, taken, rax)
    assert (wrote, after.values()) == (0, side.values())
    assert register == (new & taken if taken == 2**32 - 1 else (rax & ~taken) | (new & taken))
