# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The EPT while it changes: other processors' handlers go on meanwhile, and see each step."""

from __future__ import annotations

import ctypes

import pytest

from tests.host.conftest import Build
from tests.host.resource_lists import Range

PAGE, GIGABYTE = 0x1000, 1 << 30
READ, WRITE, EXECUTE = 1, 2, 4
MEMORY, PAGES = 0, 32
#: The gigabyte that is touched: memory, and registers below 4 GB.
PLACES = {"memory": 5 * GIGABYTE, "registers": 2 * GIGABYTE}


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    sources = ("PageMap.c", "PageMerge.c", "Profile.c", "SnapshotMap.c")
    files = ("tests/host/ept_stub.c", *(f"StmPkg/Stm/Protect/{name}" for name in sources))
    return build_library("ept", *files, lazy=True)


@pytest.mark.parametrize(
    ("access", "seen"), [(READ, 0), (WRITE, READ), (READ | WRITE | EXECUTE, 0)], ids=["reads", "writes", "all"]
)
@pytest.mark.parametrize("pages", [1, 512, 512 * 512], ids=["4-kb", "2-mb", "1-gb"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_protected_memory_is_never_open(library: ctypes.CDLL, access: int, seen: int, pages: int, place: int) -> None:
    """What no leaf of 1 GB maps is mapped where a handler touches it, and somebody else's handler reads beside it."""
    base = place + (512 * PAGE if pages == 512 else 3 * PAGE if pages == 1 else 0)
    pool = ctypes.create_string_buffer((PAGES + 1) * PAGE)
    start = -ctypes.addressof(pool) % PAGE + ctypes.addressof(pool)
    ranges = (Range * 1)(Range(MEMORY, access, base, base + pages * PAGE))
    looks = ctypes.c_uint32()
    had = library.TestMapOnDemand(
        ctypes.c_void_p(start), ctypes.c_uint32(PAGES), ranges, ctypes.c_uint32(1),
        ctypes.c_uint64(place), ctypes.c_uint64(base), ctypes.byref(looks),
    )  # fmt: skip
    assert had == seen
    assert looks.value >= 3
