# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The table builder: the handler's EPT covers exactly the address space minus MSEG."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.conftest import Build

PAGE = 0x1000
MB2 = 0x20_0000
GB = 0x4000_0000
LARGE = 1 << 7
ADDRESS = 0x000F_FFFF_FFFF_F000
POOL_PHYSICAL = 0x1FE1_0000
EPT_PAGES = 32
RWX_WB = 0b111 | (6 << 3)
RWX_UC = 0b111


class PageMap(ctypes.Structure):
    """STM_PAGE_MAP."""

    _fields_ = (
        ("pool", ctypes.c_void_p),
        ("pool_physical", ctypes.c_uint64),
        ("pool_pages", ctypes.c_uint32),
        ("pool_used", ctypes.c_uint32),
        ("table_attributes", ctypes.c_uint64),
        ("huge_pages", ctypes.c_uint64),
        ("retired", ctypes.c_uint64 * 8),
        ("free", ctypes.c_uint64 * 8),
    )


@dataclass
class Tables:
    """A set of tables with its memory."""

    library: ctypes.CDLL
    map: PageMap
    memory: ctypes.Array[ctypes.c_uint64]

    @classmethod
    def make(cls, library: ctypes.CDLL, pages: int, huge: bool) -> Tables:
        memory = (ctypes.c_uint64 * (512 * pages))(*[0xDEAD] * (512 * pages))
        result = cls(library, PageMap(), memory)
        library.StmPageMapInit(
            ctypes.byref(result.map),
            memory,
            ctypes.c_uint64(POOL_PHYSICAL),
            ctypes.c_uint32(pages),
            ctypes.c_uint64(0b111),
            ctypes.c_ubyte(huge),
        )
        return result

    def add(self, virtual: int, physical: int, length: int, attributes: int) -> bool:
        self.library.StmPageMapRange.restype = ctypes.c_ubyte
        numbers = (ctypes.c_uint64(value) for value in (virtual, physical, length, attributes))
        return bool(self.library.StmPageMapRange(ctypes.byref(self.map), *numbers))

    def change(self, virtual: int, length: int, bits: int) -> bool:
        """New permissions for what is mapped in a range."""
        self.library.StmPageMapChange.restype = ctypes.c_ubyte
        numbers = (ctypes.c_uint64(value) for value in (virtual, length, 0b111, bits))
        return bool(self.library.StmPageMapChange(ctypes.byref(self.map), *numbers))

    def merge(self, virtual: int, length: int) -> None:
        """Put leaves together where a range has changed."""
        self.library.StmPageMapMerge(ctypes.byref(self.map), ctypes.c_uint64(virtual), ctypes.c_uint64(length))

    def reclaim(self) -> None:
        self.library.StmPageMapReclaim(ctypes.byref(self.map))

    def room(self) -> int:
        """Tables that can still be made."""
        self.library.StmPageMapRoom.restype = ctypes.c_uint32
        return int(self.library.StmPageMapRoom(ctypes.byref(self.map)))

    def cost(self, boundaries: list[int]) -> int:
        """Tables that it takes to let leaves begin at these addresses."""
        counted = (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1)
        self.library.StmPageMapCost.restype = ctypes.c_uint32
        call = self.library.StmPageMapCost
        return sum(call(ctypes.byref(self.map), ctypes.c_uint64(one), counted) for one in boundaries)

    def lookup(self, virtual: int) -> tuple[int, int]:
        """(leaf, bytes it covers) as the C code finds it."""
        size = ctypes.c_uint64()
        self.library.StmPageMapLookup.restype = ctypes.c_uint64
        leaf = self.library.StmPageMapLookup(ctypes.byref(self.map), ctypes.c_uint64(virtual), ctypes.byref(size))
        return leaf, size.value

    def leaves(self, page: int = 0, level: int = 3, base: int = 0) -> list[tuple[int, int, int]]:
        """(address, bytes, leaf) of all leaves, walked here and not by the C code."""
        found: list[tuple[int, int, int]] = []
        span = 1 << (12 + 9 * level)
        for index in range(512):
            entry = self.memory[512 * page + index]
            address = base + index * span
            if entry == 0:
                continue
            if level == 0 or entry & LARGE:
                found.append((address, span, entry))
            else:
                found += self.leaves(((entry & ADDRESS) - POOL_PHYSICAL) // PAGE, level - 1, address)
        return found


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library("pagemap", "StmPkg/Stm/Protect/PageMap.c", "StmPkg/Stm/Protect/PageMerge.c")


def merged(leaves: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Covered ranges [start, end), adjacent ones joined."""
    ranges: list[tuple[int, int]] = []
    for start, size, _ in leaves:
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], start + size)
        else:
            ranges.append((start, start + size))
    return ranges


@settings(max_examples=50, deadline=None)
@given(
    top=st.integers(8, 1536).map(lambda n: n * MB2),
    mseg_pages=st.integers(1, 1024),
    bits=st.integers(32, 40),
)
def test_ept_is_everything_but_mseg(library: ctypes.CDLL, top: int, mseg_pages: int, bits: int) -> None:
    """The calls of StmBuildProtection, for MSEG of any size at the top of TSEG."""
    tables = Tables.make(library, EPT_PAGES, huge=True)
    mseg = top - mseg_pages * PAGE
    limit = 1 << bits
    assert tables.add(0, 0, mseg, RWX_WB)
    assert tables.add(top, top, 0, RWX_WB)
    assert tables.add(top, top, 4 * GB - top, RWX_UC)
    assert tables.add(4 * GB, 4 * GB, limit - 4 * GB, RWX_WB)
    leaves = tables.leaves()
    assert merged(leaves) == [(0, mseg), (top, limit)]
    assert all(leaf & ADDRESS == address for address, _, leaf in leaves)
    for address, size, leaf in leaves:
        uncached = top <= address < 4 * GB
        assert leaf & 0x7F == (RWX_UC if uncached else RWX_WB)
        assert bool(leaf & LARGE) == (size > PAGE)
        assert address % size == 0


def test_default_machine_needs_few_pages(library: ctypes.CDLL) -> None:
    """512 MB, MSEG the top 2 MB, 40 bits: top table, two of 512 GB, one of 1 GB."""
    tables = Tables.make(library, EPT_PAGES, huge=True)
    assert tables.add(0, 0, 0x1FE0_0000, RWX_WB)
    assert tables.add(0x2000_0000, 0x2000_0000, 4 * GB - 0x2000_0000, RWX_UC)
    assert tables.add(4 * GB, 4 * GB, 1020 * GB, RWX_WB)
    assert tables.map.pool_used == 4
    assert tables.lookup(0x1FE0_0000) == (0, MB2)
    assert tables.lookup(0x1FFF_FFFF)[0] == 0
    assert tables.lookup(0x1FDF_FFFF) == (0x1FC0_0000 | LARGE | RWX_WB, MB2)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_ranges_map_what_was_asked(library: ctypes.CDLL, data: st.DataObject) -> None:
    """Disjoint ranges with any offset between virtual and physical; lookup agrees with the walk."""
    tables = Tables.make(library, 64, huge=data.draw(st.booleans()))
    start = 0
    wanted: list[tuple[int, int, int]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        start += data.draw(st.integers(0, 600)) * PAGE
        length = data.draw(st.integers(1, 1200)) * PAGE
        physical = data.draw(st.integers(0, 4096)) * PAGE
        assert tables.add(start, physical, length, RWX_WB)
        wanted.append((start, length, physical))
        start += length
    for virtual, length, physical in wanted:
        for offset in {0, length // 2 // PAGE * PAGE, length - PAGE}:
            leaf, size = tables.lookup(virtual + offset)
            assert (leaf & ADDRESS) + (virtual + offset) % size == physical + offset
    assert sum(size for _, size, _ in tables.leaves()) == sum(length for _, length, _ in wanted)


def test_large_leaf_needs_both_addresses_aligned(library: ctypes.CDLL) -> None:
    """A processor takes the low bits of a large leaf's address for zero, or refuses them."""
    tables = Tables.make(library, 8, huge=True)
    assert tables.add(0, PAGE, MB2, RWX_WB)
    assert {size for _, size, _ in tables.leaves()} == {PAGE}


def test_window_can_be_moved_and_removed(library: ctypes.CDLL) -> None:
    tables = Tables.make(library, 8, huge=False)
    window = 512 * GB
    for physical in (0x1234_5000, 0x55_6677_8000):
        assert tables.add(window, physical, PAGE, 1)
        assert tables.lookup(window) == (physical | 1, PAGE)
    used = tables.map.pool_used
    assert tables.add(window, 0, PAGE, 0)
    assert tables.leaves() == []
    assert tables.map.pool_used == used


@pytest.mark.parametrize(
    ("virtual", "physical", "length"),
    [(1, 0, PAGE), (0, 1, PAGE), (0, 0, 1), (1 << 48, 0, PAGE), ((1 << 48) - PAGE, 0, 2 * PAGE), (0, 0, 1 << 63)],
)
def test_bad_arguments(library: ctypes.CDLL, virtual: int, physical: int, length: int) -> None:
    tables = Tables.make(library, 8, huge=True)
    assert not tables.add(virtual, physical, length, RWX_WB)
    assert tables.leaves() == []


def test_exhausted_pool(library: ctypes.CDLL) -> None:
    """46 bits need 128 tables below the top: refused, and nothing outside the pool is written."""
    tables = Tables.make(library, EPT_PAGES, huge=True)
    assert not tables.add(0, 0, 1 << 46, RWX_WB)
    assert tables.map.pool_used == EPT_PAGES


def test_larger_leaf_is_not_split(library: ctypes.CDLL) -> None:
    tables = Tables.make(library, 8, huge=True)
    assert tables.add(0, 0, GB, RWX_WB)
    assert not tables.add(MB2, 0, PAGE, RWX_WB)
    assert tables.lookup(MB2) == (LARGE | RWX_WB, GB)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(1, 1200), st.sampled_from((0, 1, 3, 5, 7))), max_size=6))
def test_permissions_of_ranges(library: ctypes.CDLL, changes: list[tuple[int, int, int]]) -> None:
    """Every page has the permissions last given to it, address and memory type stay, and a hole stays a hole."""
    tables = Tables.make(library, 32, huge=True)
    hole = range(700, 710)
    assert tables.add(0, 0, hole.start * PAGE, RWX_WB)
    assert tables.add(hole.stop * PAGE, hole.stop * PAGE, 2 * GB - hole.stop * PAGE, RWX_WB)
    wanted = dict.fromkeys(range(2500), 0b111)
    for start, length, bits in changes:
        assert tables.change(start * PAGE, length * PAGE, bits)
        wanted |= dict.fromkeys(range(start, start + length), bits)
    for page, bits in wanted.items():
        leaf, size = tables.lookup(page * PAGE)
        if page in hole:
            assert leaf == 0
        else:
            assert leaf & 0x7F == (RWX_WB & ~0b111) | bits
            assert (leaf & ADDRESS & ~(size - 1)) + page * PAGE % size == page * PAGE


def test_split_only_where_needed(library: ctypes.CDLL) -> None:
    tables = Tables.make(library, 5, huge=True)
    assert tables.add(0, 0, 4 * GB, RWX_WB)
    used = tables.map.pool_used
    assert tables.change(GB, GB, 0)
    assert tables.change(3 * GB + PAGE, PAGE, 0b111)
    assert tables.map.pool_used == used, "a whole leaf, and bits that are as they were"
    assert tables.change(2 * GB + MB2, MB2, 0)
    assert tables.map.pool_used == used + 1
    assert tables.change(2 * GB + 3 * PAGE, PAGE, 0)
    assert tables.map.pool_used == used + 2 == 4
    assert tables.change(2 * GB + 5 * PAGE, PAGE, 0)
    # The pool has one page left, and this needs two.
    assert tables.cost([PAGE, 2 * PAGE]) == 2
    assert not tables.change(PAGE, PAGE, 0)


@settings(max_examples=100, deadline=None)
@given(
    st.sets(st.integers(0, 5 * 512 * 512), max_size=12),
    st.sets(st.one_of(st.integers(0, 4 * 512 * 512), st.integers(0, 4).map(lambda n: n * 512 * 512)), max_size=12),
)
def test_cost_of_boundaries(library: ctypes.CDLL, before: set[int], pages: set[int]) -> None:
    """What it says is what changes of permissions take, whatever was split before."""
    tables = Tables.make(library, 64, huge=True)
    assert tables.add(0, 0, 4 * GB, RWX_WB)
    for page in before:
        assert tables.change(page * PAGE, PAGE, 5)
    ordered = sorted(pages)
    ranges = list(zip(ordered[::2], ordered[1::2], strict=False))
    cost = tables.cost([edge * PAGE for pair in ranges for edge in pair])
    used = tables.map.pool_used
    for start, stop in ranges:
        assert tables.change(start * PAGE, (stop - start) * PAGE, 0)
    assert tables.map.pool_used - used == cost


@pytest.mark.parametrize(("virtual", "length"), [(1, PAGE), (0, 1), (1 << 48, PAGE), (0, 1 << 63)])
def test_bad_ranges_of_permissions(library: ctypes.CDLL, virtual: int, length: int) -> None:
    tables = Tables.make(library, 8, huge=True)
    assert tables.add(0, 0, GB, RWX_WB)
    assert not tables.change(virtual, length, 0)
    assert tables.lookup(0) == (LARGE | RWX_WB, GB)


@settings(max_examples=60, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 2600), st.integers(1, 1200), st.sampled_from((0, 1, 3, 5, 7))), max_size=10),
)
def test_tables_come_back(library: ctypes.CDLL, huge: bool, changes: list[tuple[int, int, int]]) -> None:
    """What is given back is mapped as before, and once everything is alike the tables are as few as at the start."""
    tables = Tables.make(library, 32, huge=huge)
    hole = range(700, 710)
    assert tables.add(0, 0, hole.start * PAGE, RWX_WB)
    assert tables.add(hole.stop * PAGE, hole.stop * PAGE, 4 * GB - hole.stop * PAGE, RWX_WB)
    room = tables.room()
    wanted = dict.fromkeys(range(4000), 0b111)
    for start, length, bits in changes:
        assert tables.change(start * PAGE, length * PAGE, bits)
        tables.merge(start * PAGE, length * PAGE)
        tables.reclaim()
        wanted |= dict.fromkeys(range(start, start + length), bits)
        leaves = {address: (size, leaf) for address, size, leaf in tables.leaves()}
        assert merged(tables.leaves()) == [(0, hole.start * PAGE), (hole.stop * PAGE, 4 * GB)]
        assert all(leaf & ADDRESS & ~(size - 1) == address for address, (size, leaf) in leaves.items())
    for page, bits in wanted.items():
        leaf, _size = tables.lookup(page * PAGE)
        assert page in hole or leaf & 0x7F == (RWX_WB & ~0b111) | bits
    assert tables.change(0, 4 * GB, 0b111)
    tables.merge(0, 4 * GB)
    tables.reclaim()
    assert tables.room() == room


def test_retired_table_is_not_written(library: ctypes.CDLL) -> None:
    """A processor may still walk it: it is free only after StmPageMapReclaim."""
    tables = Tables.make(library, 5, huge=True)
    assert tables.add(0, 0, 4 * GB, RWX_WB)
    assert tables.change(GB + PAGE, PAGE, 0)
    assert tables.room() == 1
    assert tables.change(GB + PAGE, PAGE, 0b111)
    tables.merge(GB + PAGE, PAGE)
    retired = bytes(tables.memory)[2 * PAGE : 4 * PAGE]
    assert tables.lookup(GB) == (GB | LARGE | RWX_WB, GB)
    assert tables.room() == 1
    assert not tables.change(2 * GB + PAGE, PAGE, 0), "it takes two"
    assert bytes(tables.memory)[2 * PAGE : 4 * PAGE] == retired, "the first of the two is one that was never used"
    tables.reclaim()
    assert tables.room() == 2


def test_table_of_another_type_stays(library: ctypes.CDLL) -> None:
    """Leaves that differ in memory type, permissions or place are not one leaf."""
    tables = Tables.make(library, 8, huge=True)
    assert tables.add(0, 0, PAGE, RWX_UC)
    assert tables.add(PAGE, PAGE, MB2 - PAGE, RWX_WB)
    assert tables.add(MB2, 3 * MB2 + PAGE, MB2, RWX_WB)
    assert tables.add(2 * MB2, 2 * MB2 + PAGE, MB2, RWX_WB)
    before = tables.leaves()
    tables.merge(0, GB)
    assert tables.leaves() == before
