# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Who gets which page of MSEG: all fits into what edk2's formula sets aside, and what there is beyond it is used."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.fuzzing import seeds
from build_scripts.stm_image import inspect_image, layout
from tests.host.conftest import Build

PAGE = layout.PAGE
SOFTWARE = inspect_image(seeds.image_file()).software
DYNAMIC = SOFTWARE.static_image_size + layout.ACTIVATION_TABLES_SIZE
GB = 1 << 30
LARGE_BLOCK, LARGE_RESERVE_PAGES = 0x1800, layout.RESERVE_PAGES - 1


@dataclass(frozen=True)
class Divided:
    """What Divide.c has made of MSEG; addresses from its base, sizes in bytes."""

    done: bool
    block: int
    blocks: int
    list_pages: int
    pool_pages: int
    records: int
    bios_list: int
    ring: int
    pool: int
    first_block: int
    vmcss: int


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library("divide", "tests/host/divide_stub.c", "StmPkg/Stm/Init/Divide.c")


def divide(library: ctypes.CDLL, size: int, processors: int, vmcs: int = layout.VMCS_SIZE) -> Divided:
    found = (ctypes.c_uint64 * 10)()
    addresses = ctypes.c_uint64(DYNAMIC), ctypes.c_uint64(size)
    done = library.TestDivide(*addresses, ctypes.c_uint32(vmcs), ctypes.c_uint32(processors), found)
    return Divided(bool(done), *found)


@pytest.mark.parametrize("processors", [1, 2, 8, 64, 300])
def test_the_needed_size_is_enough_and_not_a_page_less(library: ctypes.CDLL, processors: int) -> None:
    needed = layout.needed_size(SOFTWARE, processors)
    least = divide(library, needed, processors)
    assert (least.done, least.blocks, least.block) == (True, processors, layout.BLOCK_SIZE)
    assert (least.list_pages, least.pool_pages, least.records) == (1, layout.RESERVE_PAGES, 0)
    assert least.bios_list == 0, "in a page of the activation tables"
    assert not divide(library, needed - PAGE, processors).done


@pytest.mark.parametrize(("processors", "records"), [(1, 1024), (4, 256), (8, 128), (64, 16), (128, 0)])
def test_the_labs_mseg(library: ctypes.CDLL, processors: int, records: int) -> None:
    """2 MB: four pages for the list, a ring that is larger than what blocks have, and as many tables as can be."""
    found = divide(library, 0x20_0000, processors)
    assert (found.done, found.list_pages, found.records) == (True, 4, records)
    assert processors > 35 or found.pool_pages == 392


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 520), st.integers(0, 1200), st.sampled_from([1, 1024, 1280, 1281, 4096]))
def test_parts_do_not_overlap(library: ctypes.CDLL, processors: int, pages: int, vmcs: int) -> None:
    size = DYNAMIC + pages * PAGE
    found = divide(library, size, processors, vmcs)
    large = vmcs > 1280
    reserve = LARGE_RESERVE_PAGES if large else layout.RESERVE_PAGES
    first = DYNAMIC + layout.DYNAMIC_SHARED_SIZE
    needed = first + processors * (LARGE_BLOCK + 2 * PAGE if large else layout.BLOCK_SIZE) + reserve * PAGE
    assert found.done == (size >= needed and processors < 512)
    if not found.done:
        return
    assert found.blocks >= processors and found.pool_pages >= reserve
    if large:
        # What is at 0 to 800H of the other blocks is not there.
        assert (found.block, found.first_block + 0x800) == (LARGE_BLOCK, first)
        assert found.vmcss % PAGE == 0 and first + found.blocks * LARGE_BLOCK <= found.vmcss
        end = found.vmcss + found.blocks * 2 * PAGE
    else:
        assert (found.block, found.first_block, found.vmcss) == (layout.BLOCK_SIZE, first, 0)
        end = first + found.blocks * found.block
    if found.bios_list:
        assert (found.list_pages, end <= found.bios_list) == (4, True)
        end = found.bios_list + 4 * PAGE
    assert end <= found.ring and found.ring + 64 * found.records * processors <= found.pool
    assert found.pool + found.pool_pages * PAGE == size


@pytest.mark.parametrize("processors", [1, 2, 7, 8, 64])
def test_the_needed_size_is_enough_where_a_region_takes_4_kb(library: ctypes.CDLL, processors: int) -> None:
    """Rounded down, as the STM does with what the firmware's formula sets aside: half a page an odd number."""
    size = layout.needed_size(SOFTWARE, processors, PAGE) & -PAGE
    least = divide(library, size, processors, PAGE)
    assert (least.done, least.blocks, least.pool_pages) == (True, processors, LARGE_RESERVE_PAGES)
    assert not divide(library, size - (2 - processors % 2) * PAGE, processors, PAGE).done


@pytest.mark.parametrize(
    ("own", "draft", "bios_list", "spare"), [(0, 3, 4, 1), (1, 2, 4, 1), (2, 2, 3, 1), (3, 2, 3, 0)]
)
def test_directories_that_no_activation_needs(
    library: ctypes.CDLL, own: int, draft: int, bios_list: int, spare: int
) -> None:
    """MSEG's own directory stays where a processor that waits may remember it; nothing refers to the other three."""
    buffer = ctypes.create_string_buffer(7 * PAGE)
    tables = (ctypes.addressof(buffer) + PAGE - 1) & -PAGE
    top, pointers = ((ctypes.c_uint64 * 512).from_address(tables + index * PAGE) for index in range(2))
    top[0] = tables + PAGE | 0x23
    directory = (ctypes.c_uint64 * 512).from_address(tables + (2 + own) * PAGE)
    for index in range(4):
        pointers[index] = tables + (2 + index) * PAGE | 0x23
    for index in range(512):
        directory[index] = own * GB + index * 0x20_0000 | 0xA3
    leaves = list(directory)
    found = (ctypes.c_uint64 * 4)()
    base = own * GB + 0x1FE0_0000

    def take(start: int, end: int) -> bool:
        addresses = (ctypes.c_uint64(address) for address in (tables, start, end))
        return bool(library.TestTables(*addresses, found))

    assert not take(base, (own + 1) * GB + PAGE), "in two GB"
    # A second activation finds what the first one has left.
    for _ in range(2):
        flushes = ctypes.c_uint32.in_dll(library, "TestFlushes").value
        assert take(base, base + 0x20_0000)
        assert list(found) == [draft * PAGE, bios_list * PAGE, 0x800, spare]
        used = {draft, bios_list, *[5] * spare}
        assert len(used) == 2 + spare and 2 + own not in used
        assert {index: pointer for index, pointer in enumerate(pointers) if pointer} == {
            own: tables + (2 + own) * PAGE | 0x23
        }
        assert list(directory) == leaves
        assert ctypes.c_uint32.in_dll(library, "TestFlushes").value == flushes + 1
    pointers[own] = tables | 0x23
    assert not take(base, base + 0x20_0000), "tables in another order"
