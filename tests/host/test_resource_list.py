# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware's list of resources as drivers build it, against a set of places: SmmCpuFeaturesLib/ResourceList.c.

Whatever is added in whatever order, the list claims exactly that, and the STM's own check takes it.
"""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

PAGE = 0x1000
BITS = 40
SIZE = 3 * PAGE
END = struct.pack("<IHHQ", 0, 16, 0, 0)
MEM, IO, MMIO, MSR = 1, 2, 3, 4
SUCCESS, INVALID, TOO_SMALL, OUT_OF_RESOURCES = 0, 1 << 63 | 2, 1 << 63 | 5, 1 << 63 | 9

Claims = dict[tuple[int, int, int], int]


class ResourceList(ctypes.Structure):
    """RESOURCE_LIST."""

    _fields_ = (
        ("buffer", ctypes.c_void_p),
        ("size", ctypes.c_uint32),
        ("used", ctypes.c_uint32),
        ("bits", ctypes.c_uint32),
    )


class List:
    """A list and the code that works on it."""

    def __init__(self, library: ctypes.CDLL, size: int = SIZE) -> None:
        self.library = library
        self.memory = ctypes.create_string_buffer(size)
        self.list = ResourceList(ctypes.addressof(self.memory), size, 0, BITS)
        library.ResourceListClear(ctypes.byref(self.list))

    def add(self, descriptors: bytes, entries: int = 0) -> int:
        return int(self.library.ResourceListAdd(ctypes.byref(self.list), descriptors, entries))

    def delete(self, descriptors: bytes | None, entries: int = 0) -> int:
        return int(self.library.ResourceListDelete(ctypes.byref(self.list), descriptors, entries))

    @property
    def bytes(self) -> bytes:
        """The list with its END, by ResourceListGet."""
        size = ctypes.c_uint32(0)
        assert self.library.ResourceListGet(ctypes.byref(self.list), None, ctypes.byref(size)) == TOO_SMALL
        buffer = ctypes.create_string_buffer(size.value)
        assert self.library.ResourceListGet(ctypes.byref(self.list), buffer, ctypes.byref(size)) == SUCCESS
        assert buffer.raw == self.memory.raw[: size.value]
        return buffer.raw


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    library = build_library(
        "resource-list",
        "tests/host/resource_stub.c",
        "StmPkg/Firmware/SmmCpuFeaturesLib/ResourceList.c",
        "StmPkg/Library/StmResourceLib/Resource.c",
    )
    for function in (library.ResourceListAdd, library.ResourceListDelete, library.ResourceListGet):
        function.restype = ctypes.c_uint64
    return library


def memory(kind: int, base: int, length: int, access: int) -> bytes:
    return struct.pack("<IHHQQII", kind, 32, 0, base, length, access, 0)


def ports(base: int, length: int) -> bytes:
    return struct.pack("<IHHHHI", IO, 16, 0, base, length, 0)


def msr(index: int, read: int, write: int) -> bytes:
    return struct.pack("<IHHIIQQ", MSR, 32, 0, index, 0, read, write)


def parse(data: bytes) -> list[bytes]:
    """The descriptors before the END, which is the last thing in the list."""
    found: list[bytes] = []
    offset = 0
    while True:
        kind, length = struct.unpack_from("<IH", data, offset)
        if kind == 0:
            assert data[offset:] == END
            return found
        found.append(data[offset : offset + length])
        offset += length


def claims(descriptors: list[bytes]) -> Claims:
    """What descriptors claim: per kind, attribute and place the bits that are claimed."""
    found: Claims = {}
    for one in descriptors:
        kind = struct.unpack_from("<I", one)[0]
        if kind == IO:
            base, length = struct.unpack_from("<HH", one, 8)
            places, bits = range(base, base + length), 1
            key = 0
        elif kind == MSR:
            index, _kernel, read, write = struct.unpack_from("<IIQQ", one, 8)
            places, bits, key = range(index, index + 1), read | write << 64, 0
        else:
            base, length, key = struct.unpack_from("<QQI", one, 8)
            places, bits = range(base, base + length), 1
        for place in places:
            found[kind, key, place] = found.get((kind, key, place), 0) | bits
    return found


DESCRIPTORS = st.one_of(
    st.builds(memory, st.sampled_from([MEM, MMIO]), st.integers(0, 60), st.integers(1, 20), st.sampled_from([1, 3])),
    st.builds(ports, st.integers(0, 60), st.integers(1, 20)),
    st.builds(msr, st.integers(0, 4), st.integers(0, 7), st.integers(0, 7)),
)


@given(st.lists(st.lists(DESCRIPTORS, min_size=1, max_size=4), max_size=12), st.booleans())
def test_list_claims_what_was_added(library: ctypes.CDLL, calls: list[list[bytes]], counted: bool) -> None:
    resources = List(library)
    for call in calls:
        assert resources.add(b"".join(call) + END, len(call) if counted else 0) == SUCCESS
    assert claims(parse(resources.bytes)) == claims([one for call in calls for one in call])


@given(st.lists(DESCRIPTORS, max_size=30))
def test_ranges_that_touch_are_one(library: ctypes.CDLL, added: list[bytes]) -> None:
    """No two descriptors of the list can be united."""
    resources = List(library)
    for one in added:
        assert resources.add(one, 1) == SUCCESS
    seen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for one in parse(resources.bytes):
        kind = struct.unpack_from("<I", one)[0]
        key = 0
        if kind == IO:
            base, length = struct.unpack_from("<HH", one, 8)
        elif kind == MSR:
            # Twice as far apart, for MSRs that are neighbours have a descriptor each.
            base, length = 2 * struct.unpack_from("<I", one, 8)[0], 1
        else:
            base, length, key = struct.unpack_from("<QQI", one, 8)
        for other, end in seen.setdefault((kind, key), []):
            assert base > end or base + length < other
        seen[kind, key].append((base, base + length))


PCI = struct.pack("<IHHHHHBB", 5, 22, 0, 3, 0x40, 4, 0, 0) + bytes((1, 1, 6, 0, 0, 31))


def test_equal_descriptors_are_one(library: ctypes.CDLL) -> None:
    resources = List(library)
    assert resources.add(PCI + PCI + END) == SUCCESS
    assert parse(resources.bytes) == [PCI]


GOOD = ports(0x608, 4)


@pytest.mark.parametrize(
    "bad",
    [
        memory(MEM, 0x1000, 0, 3),
        memory(MEM, 1 << BITS, 1, 3),
        memory(9, 0x1000, 1, 3),
        memory(MEM, 0x1000, 1, 8),
        ports(0xFFFF, 2),
        struct.pack("<IHHHHI", IO, 15, 0, 0x60, 1, 0),
        struct.pack("<IHHHHI", IO, 16, 1, 0x60, 1, 0),
        struct.pack("<IHHHHI", IO, 16, 1 << 15, 0x60, 1, 0),
    ],
    ids=["empty", "beyond-the-last-address", "type", "reserved", "beyond-the-last-port", "length", "status", "ignored"],
)
def test_bad_descriptor_adds_nothing(library: ctypes.CDLL, bad: bytes) -> None:
    resources = List(library)
    assert resources.add(GOOD, 1) == SUCCESS
    before = resources.bytes
    assert resources.add(ports(0x402, 1) + bad + END) == INVALID
    assert resources.bytes == before


def test_no_room_adds_nothing(library: ctypes.CDLL) -> None:
    resources = List(library, size=64)
    assert resources.add(msr(0x1B, 1, 0), 1) == SUCCESS
    before = resources.bytes
    assert resources.add(ports(0x402, 1) + ports(0x405, 1), 2) == OUT_OF_RESOURCES
    assert resources.bytes == before
    assert resources.add(ports(0x402, 1), 1) == SUCCESS
    assert len(resources.bytes) == 64


def test_list_without_an_end_is_too_long(library: ctypes.CDLL) -> None:
    resources = List(library, size=64)
    assert resources.add(b"".join(ports(16 * number, 1) for number in range(32))) == OUT_OF_RESOURCES
    assert resources.bytes == END


def test_number_of_entries_ends_the_list(library: ctypes.CDLL) -> None:
    resources = List(library)
    assert resources.add(GOOD + memory(9, 0, 0, 0), 1) == SUCCESS
    assert resources.add(ports(0x402, 1) + END + memory(9, 0, 0, 0), 3) == SUCCESS
    assert parse(resources.bytes) == [GOOD, ports(0x402, 1)]


def test_deleted(library: ctypes.CDLL) -> None:
    resources = List(library)
    assert resources.add(GOOD + PCI + msr(0x1B, 1, 0) + END) == SUCCESS
    before = resources.bytes
    assert resources.delete(GOOD + ports(0x60, 5) + END) == INVALID
    assert resources.bytes == before
    assert resources.delete(PCI + GOOD + END) == SUCCESS
    assert parse(resources.bytes) == [msr(0x1B, 1, 0)]
    assert resources.delete(None) == SUCCESS
    assert resources.bytes == END
