# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The walk of page tables and EPT, over tables that this test builds: State/Walk.c."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.conftest import Build

PAGE, MB2, MB4, GB = 0x1000, 0x20_0000, 0x40_0000, 0x4000_0000
PRESENT, LARGE = 1, 1 << 7
EPT_RWX = 7
READ = ctypes.CFUNCTYPE(ctypes.c_ubyte, ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64))


class Space(ctypes.Structure):
    """STM_ADDRESS_SPACE."""

    _fields_ = (
        ("cr3", ctypes.c_uint64),
        ("ept", ctypes.c_uint64),
        ("ia32e", ctypes.c_ubyte),
        ("pae", ctypes.c_ubyte),
        ("pse", ctypes.c_ubyte),
        ("flat", ctypes.c_ubyte),
        ("read", READ),
        ("context", ctypes.c_void_p),
    )


@dataclass
class Memory:
    """Physical memory by 4-byte words, from which tables take their pages."""

    words: dict[int, int] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)
    next_page: int = 0x70_0000_0000

    def page(self, below: int = 1 << 40) -> int:
        if below <= self.next_page:
            self.next_page = 0x10_0000
        self.next_page += PAGE
        return self.next_page

    def put(self, address: int, value: int, size: int = 8) -> None:
        for offset in range(0, size, 4):
            self.words[address + offset] = value >> (8 * offset) & 0xFFFF_FFFF

    def get(self, address: int) -> int:
        return self.words.get(address, 0) | self.words.get(address + 4, 0) << 32

    def read(self, _context: int | None, address: int, value: ctypes._Pointer[ctypes.c_uint64]) -> int:
        assert address % 8 == 0
        if address & ~0xFFF in self.unreadable:
            return 0
        value[0] = self.get(address)
        return 1

    def map(self, root: int, linear: int, physical: int, size: int, present: int, levels: int = 4) -> None:
        """A leaf in tables of 512 entries; `root` is where the first of `levels` tables is."""
        table = root
        for level in range(levels - 1, -1, -1):
            span = PAGE << 9 * level
            place = table + (linear // span % 512) * 8
            if size == span:
                self.put(place, physical | present | (LARGE if level else 0))
                return
            if self.get(place) == 0:
                self.put(place, self.page() | present)
            table = self.get(place) & 0x000F_FFFF_FFFF_F000


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    library = build_library("walk", "tests/host/walk_stub.c", "StmPkg/Stm/State/Walk.c")
    library.StmWalk.restype = ctypes.c_ubyte
    assert library.TestSpaceSize() == ctypes.sizeof(Space)
    return library


def walk(library: ctypes.CDLL, memory: Memory, space: Space, linear: int) -> int | None:
    space.read = READ(memory.read)
    physical = ctypes.c_uint64()
    found = library.StmWalk(ctypes.byref(space), ctypes.c_uint64(linear), ctypes.byref(physical))
    return physical.value if found else None


sizes = st.sampled_from((PAGE, MB2, GB))
# An address and its upper half for the kernel's part of the canonical space.
canonical = st.one_of(st.integers(0, (1 << 47) - 1), st.integers(2**64 - (1 << 47), 2**64 - 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(canonical, st.integers(0, (1 << 39) - 1), sizes), min_size=1, max_size=4), st.booleans())
def test_four_levels(library: ctypes.CDLL, mappings: list[tuple[int, int, int]], nested: bool) -> None:
    """Each size of page, with EPT that moves all of the guest's memory, or without."""
    memory = Memory()
    root = memory.page()
    wanted: dict[int, int] = {}
    taken: set[int] = set()
    for linear, physical, size in mappings:
        if taken & {linear // GB}:
            continue
        taken.add(linear // GB)
        memory.map(root, linear % (1 << 48), physical // size * size, size, PRESENT)
        wanted[linear] = physical // size * size + linear % size
    space = Space(cr3=root | 0x18, ia32e=1)
    if nested:
        # What is built at an address lies for the processor 512 GB higher.
        shift = 1 << 39
        memory.words = {address + shift: value for address, value in memory.words.items()}
        top = memory.page()
        for gigabyte in range(512):
            memory.map(top, gigabyte * GB, gigabyte * GB + shift, GB, EPT_RWX)
        space.ept = top | 0x1E
        wanted = {linear: physical + shift for linear, physical in wanted.items()}
    for linear, physical in wanted.items():
        assert walk(library, memory, space, linear) == physical
        assert walk(library, memory, space, linear ^ GB << 8) is None or linear ^ GB << 8 in wanted


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, (1 << 40) - 1), st.sampled_from((PAGE, MB2)))
def test_pae(library: ctypes.CDLL, linear: int, physical: int, size: int) -> None:
    memory = Memory(next_page=0x1000_0000)
    root, directory = memory.page() + 0x20, memory.page()
    memory.put(root + (linear >> 30) * 8, directory | PRESENT)
    memory.map(directory, linear % GB, physical // size * size, size, PRESENT, levels=2)
    space = Space(cr3=root, pae=1)
    assert walk(library, memory, space, linear) == physical // size * size + linear % size
    assert walk(library, memory, space, linear ^ GB) is None
    assert walk(library, memory, space, linear + 2**32) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, (1 << 40) - 1), st.booleans(), st.booleans())
def test_32_bit(library: ctypes.CDLL, linear: int, physical: int, large: bool, pse: bool) -> None:
    memory = Memory(next_page=0x1000_0000)
    root, table = memory.page(), memory.page()
    place = root + (linear >> 22) * 4
    if large and pse:
        physical = physical // MB4 * MB4
        memory.put(place, physical & 0xFFC0_0000 | physical >> 32 << 13 | LARGE | PRESENT, 4)
        wanted = physical + linear % MB4
    else:
        physical = physical % 2**32 // PAGE * PAGE
        # Without CR4.PSE the bit of a large page is ignored.
        memory.put(place, table | PRESENT | (0 if pse else LARGE), 4)
        memory.put(table + (linear >> 12) % 1024 * 4, physical | PRESENT, 4)
        wanted = physical + linear % PAGE
    space = Space(cr3=root, pse=pse)
    assert walk(library, memory, space, linear) == wanted
    assert walk(library, memory, space, linear ^ MB4) is None


def test_without_paging(library: ctypes.CDLL) -> None:
    """An address is where it says, below 4 GB; EPT applies, tables do not."""
    memory = Memory()
    top = memory.page()
    memory.map(top, 0x5000, 0x9000, PAGE, EPT_RWX)
    space = Space(cr3=memory.page(), flat=1)
    assert walk(library, memory, space, 0x5123) == 0x5123
    assert walk(library, memory, space, 2**32 - 1) == 2**32 - 1
    assert walk(library, memory, space, 2**32) is None
    space.ept = top | 0x1E
    assert walk(library, memory, space, 0x5123) == 0x9123
    assert walk(library, memory, space, 0x6123) is None


def test_what_leads_nowhere(library: ctypes.CDLL) -> None:
    memory = Memory()
    root = memory.page()
    memory.map(root, 0, 0x5000, PAGE, PRESENT)
    space = Space(cr3=root, ia32e=1)
    assert walk(library, memory, space, 0x123) == 0x5123
    for linear in (PAGE, 1 << 47, 2**64 - (1 << 47) - 1):
        assert walk(library, memory, space, linear) is None
    memory.unreadable = {root}
    assert walk(library, memory, space, 0x123) is None
    # EPT without the page that the tables lead to, and one without the tables.
    memory.unreadable = set()
    top = memory.page()
    space.ept = top | 0x1E
    assert walk(library, memory, space, 0x123) is None
    memory.map(top, root // GB * GB, root // GB * GB, GB, EPT_RWX)
    assert walk(library, memory, space, 0x123) is None
    memory.map(top, 0x5000, 0x9000, PAGE, EPT_RWX)
    assert walk(library, memory, space, 0x123) == 0x9123
