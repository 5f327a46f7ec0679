# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's own page tables and the EPT in an MSEG no larger than needed, wherever that lies in SMRAM."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from build_scripts.fuzzing import seeds
from build_scripts.stm_image import inspect_image, layout
from tests.host.conftest import Build

PAGE, REGION, GB = layout.PAGE, 0x20_0000, 1 << 30
SOFTWARE = inspect_image(seeds.image_file()).software
PROCESSORS = 8
SIZE = layout.needed_size(SOFTWARE, PROCESSORS)
STATIC = SOFTWARE.static_image_size
TEXT = (PAGE, STATIC - 2 * PAGE)
# In front of it is what a processor needs that has no block: image, tables, lock, entry stack.
DATA_ONLY = STATIC + layout.ACTIVATION_TABLES_SIZE + layout.DYNAMIC["STM_DYNAMIC_MSR_BITMAP"]
PRESENT, WRITABLE, LARGE, EXECUTE_DISABLE = 1, 2, 1 << 7, 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
TSEG_SIZE = 0x80_0000
#: In each GB but the first, where the host's process may have no memory at a place of its choice.
BASES = [gb * GB + 0x1F80_0000 for gb in (1, 2, 3)]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    sources = ("Init/Divide.c", "Init/HostState.c", *(f"Protect/{name}.c" for name in ("Ept", "PageMap", "PageMerge")))
    sources += ("Protect/Profile.c", "Protect/SnapshotMap.c")
    return build_library("tables", "tests/host/tables_stub.c", *(f"StmPkg/Stm/{name}" for name in sources), lazy=True)


@pytest.fixture(scope="module", params=BASES, ids=["gb-1", "gb-2", "gb-3"])
def tseg(library: ctypes.CDLL, request: pytest.FixtureRequest) -> Iterator[int]:
    """Base of TSEG, with memory."""
    memory = ctypes.c_uint64(request.param), ctypes.c_uint64(TSEG_SIZE)
    assert library.TestMemory(*memory, ctypes.c_ubyte(1)) & 0xFF
    yield request.param
    assert library.TestMemory(*memory, ctypes.c_ubyte(0)) & 0xFF


@dataclass(frozen=True)
class Built:
    """What came out: top tables (0 for no EPT), pages of the pool, and how many of them both kinds take."""

    problem: int
    own: int
    ept: int
    pool: int
    own_pages: int
    ept_pages: int


def build(
    library: ctypes.CDLL, tseg: int, mseg: int, size: int = SIZE, *,
    huge: bool = True, tseg_size: int = TSEG_SIZE, again: bool = False,
) -> Built:  # fmt: skip
    found = (ctypes.c_uint64 * 5)()
    numbers = (tseg, tseg_size, mseg, size, STATIC, TEXT[0] | TEXT[1] << 32)
    library.TestBuild.restype = ctypes.c_uint32
    problem = library.TestBuild(
        *map(ctypes.c_uint64, numbers), ctypes.c_uint32(PROCESSORS), ctypes.c_ubyte(huge), ctypes.c_ubyte(again), found
    )
    return Built(problem, *found)


def leaves(table: int, level: int = 3, linear: int = 0) -> Iterator[tuple[int, int, int]]:
    """Address, size and entry of what tables map below 4 GB, except for windows."""
    for index, entry in enumerate((ctypes.c_uint64 * 512).from_address(table & ADDRESS)):
        at = linear | index << (12 + 9 * level)
        if not entry & PRESENT or at >= 4 * GB:
            continue
        if level == 0 or entry & LARGE:
            yield at, 1 << (12 + 9 * level), entry
        else:
            yield from leaves(entry, level - 1, at)


def check_own(top: int, tseg: int, mseg: int) -> None:
    """TSEG and nothing else, each page with the rights that it has wherever MSEG lies."""
    tables = mseg + STATIC
    read_only = {*range(mseg, tables, PAGE), tables + PAGE, tables + (2 + tseg // GB) * PAGE}
    runs = {*range(mseg + TEXT[0], mseg + sum(TEXT), PAGE), tables + PAGE}
    at = tseg
    for linear, size, entry in leaves(top):
        assert linear == at == entry & ADDRESS & -size
        pages = range(linear, linear + size, PAGE)
        assert {page not in read_only for page in pages} == {bool(entry & WRITABLE)}
        assert {page in runs for page in pages} == {not entry & EXECUTE_DISABLE}
        at += size
    assert at == tseg + TSEG_SIZE


def check_ept(top: int, tseg: int, mseg: int, size: int) -> None:
    """All but MSEG; what runs is TSEG."""
    seen = {at: (length, entry & 7) for at, length, entry in leaves(top)}
    hidden = [page for page in range(tseg, tseg + TSEG_SIZE, PAGE) if mseg <= page < mseg + size]
    runs = sum(length for at, (length, rights) in seen.items() if tseg <= at < tseg + TSEG_SIZE and rights == 7)
    assert runs == TSEG_SIZE - len(hidden) * PAGE
    assert not any(at < mseg + size and at + length > mseg for at, (length, _rights) in seen.items())
    assert {rights for at, (_length, rights) in seen.items() if not tseg <= at < tseg + TSEG_SIZE} == {3}


@pytest.mark.parametrize("before", range(0, SIZE // PAGE + 1))
def test_boundary_of_2_mb(library: ctypes.CDLL, tseg: int, before: int) -> None:
    """So many pages of MSEG lie in front of it. Behind what all need it costs the EPT a table, which there is; within
    that the STM as well, and there is none: then nothing but the EPT is missing."""
    mseg = tseg + 2 * REGION - before * PAGE
    built = build(library, tseg, mseg)
    crosses = 0 < before < SIZE // PAGE
    twice = crosses and before < DATA_ONLY // PAGE
    assert (built.problem, built.pool, built.own_pages) == (0, layout.RESERVE_PAGES, 3 if twice else 2)
    check_own(built.own, tseg, mseg)
    assert bool(built.ept) == (not twice)
    if built.ept:
        assert built.ept_pages == (5 if crosses else 4)
        check_ept(built.ept, tseg, mseg, SIZE)


@pytest.mark.parametrize("before", [0, 1, SIZE // PAGE - 1])
def test_smram_is_told_later(library: ctypes.CDLL, tseg: int, before: int) -> None:
    """By a firmware that sets SMRR between two activations. Who still goes through the tables finds MSEG as it was."""
    mseg = tseg + 2 * REGION - before * PAGE
    alone = build(library, mseg, mseg, tseg_size=SIZE)
    assert alone.problem == 0
    # A processor that remembers where the tables of the image are.
    entry = (ctypes.c_uint64 * 512).from_address(alone.own + (2 + tseg // GB) * PAGE)[mseg % GB // REGION]
    image = slice(mseg % REGION // PAGE, min(mseg % REGION + STATIC, REGION) // PAGE)
    remembered = (ctypes.c_uint64 * 512).from_address(entry & ADDRESS)
    seen = remembered[image]
    told = build(library, tseg, mseg, again=True)
    assert (told.problem, bool(told.ept)) == (0, before != 1)
    assert remembered[image] == seen and all(seen)
    check_own(told.own, tseg, mseg)


def test_three_pages_more_are_enough(library: ctypes.CDLL, tseg: int) -> None:
    """Two of them are the ring's."""
    mseg = tseg + 2 * REGION - PAGE
    built = build(library, tseg, mseg, SIZE + 3 * PAGE)
    assert (built.problem, built.pool, built.own_pages, built.ept_pages) == (0, layout.RESERVE_PAGES + 1, 3, 5)
    check_ept(built.ept, tseg, mseg, SIZE + 3 * PAGE)


@pytest.mark.parametrize("more", [0, 3])
def test_without_leaves_of_1_gb(library: ctypes.CDLL, tseg: int, more: int) -> None:
    """The GB of TSEG, the first and the fourth are mapped from the start, or nothing is."""
    size = SIZE + more * PAGE
    built = build(library, tseg, tseg + REGION, size, huge=False)
    last = tseg // GB == 3
    assert (built.problem, built.own_pages, bool(built.ept)) == (0, 2, last or more > 0)
    if built.ept:
        assert built.ept_pages == (5 if last else 6)
        check_ept(built.ept, tseg, tseg + REGION, size)
        assert {at // GB for at, _length, _entry in leaves(built.ept)} == {0, tseg // GB, 3}
