# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Lists of resources for tests: descriptors, random ones, the limits of protection, and a profile as a set."""

from __future__ import annotations

import ctypes
import struct

from hypothesis import strategies as st

from tests.host import resource_model as model
from tests.host.resource_model import PAGE

BITS = 40
TSEG = range(0x1F80_0000, 0x2000_0000)
MSEG = range(0x1FE0_0000, 0x2000_0000)
ECAM = range(0xE000_0000, 0xF000_0000)
# 0:1.0 leads to bus 1, where 1:2.0 leads to bus 4; 0:5.0 is a bridge whose bus has no number yet.
BRIDGES: model.Bridges = {(0, 1, 0): 1, (1, 2, 0): 4, (0, 5, 0): 0, (4, 3, 0): 1}
LIMITS = model.Limits(BITS, TSEG, MSEG, ECAM, BRIDGES)
BIOS_PAGES = 4
SPACES = {0: "memory", 1: "io", 2: "msr", 3: "pci", 4: "register"}
READ_PCI = ctypes.CFUNCTYPE(ctypes.c_uint8, ctypes.c_void_p, ctypes.c_uint64)


def read_pci(_context: int | None, place: int) -> int:
    """A byte of configuration space: header type and secondary bus of bridges, ones where nothing is."""
    where = (place >> 20, place >> 15 & 31, place >> 12 & 7)
    if where not in BRIDGES:
        return 0xFF
    return {0x0E: 0x81 if where[2] == 0 else 1, 0x19: BRIDGES[where]}.get(place & 0xFFF, 0)


READER = READ_PCI(read_pci)


class Limits(ctypes.Structure):
    """STM_LIMITS."""

    _fields_ = (
        ("bits", ctypes.c_uint32),
        ("pages", ctypes.c_uint32),
        ("tseg_base", ctypes.c_uint64),
        ("tseg_end", ctypes.c_uint64),
        ("mseg_base", ctypes.c_uint64),
        ("mseg_end", ctypes.c_uint64),
        ("list", ctypes.c_void_p),
        ("ecam_base", ctypes.c_uint64),
        ("ecam_size", ctypes.c_uint64),
        ("read_pci", READ_PCI),
        ("pci_context", ctypes.c_void_p),
    )


class Range(ctypes.Structure):
    """STM_RANGE."""

    _fields_ = (
        ("space", ctypes.c_uint32),
        ("access", ctypes.c_uint32),
        ("base", ctypes.c_uint64),
        ("end", ctypes.c_uint64),
    )


class PackedRange(ctypes.Structure):
    """STM_PACKED_RANGE: memory in pages, what is not memory in places, and the last one instead of the first behind."""

    _fields_ = (
        ("base_low", ctypes.c_uint32),
        ("last_low", ctypes.c_uint32),
        ("base_high", ctypes.c_uint8),
        ("last_high", ctypes.c_uint8),
        ("space", ctypes.c_uint8),
        ("access", ctypes.c_uint8),
    )

    @property
    def base(self) -> int:
        return (int(self.base_high) << 32 | int(self.base_low)) * self._unit

    @property
    def end(self) -> int:
        return ((int(self.last_high) << 32 | int(self.last_low)) + 1) * self._unit

    @property
    def _unit(self) -> int:
        return 1 if self.space else PAGE


class Profile(ctypes.Structure):
    """STM_PROFILE."""

    _fields_ = (("count", ctypes.c_uint32), ("ranges", PackedRange * 341))


def header(kind: int, body: bytes, flags: int = 0, length: int | None = None) -> bytes:
    return struct.pack("<IHH", kind, 8 + len(body) if length is None else length, flags) + body


def memory(base: int, length: int, access: int = 7, kind: int = model.MEM, flags: int = 0) -> bytes:
    return header(kind, struct.pack("<QQII", base, length, access, 0), flags)


def io(base: int, length: int) -> bytes:
    return header(model.IO, struct.pack("<HHI", base, length, 0))


def msr(index: int, read: int, write: int) -> bytes:
    return header(model.MSR, struct.pack("<IIQQ", index, 0, read, write))


def pci_path(path: list[tuple[int, int]], base: int = 0, length: int = 0x100, access: int = 1, bus: int = 0) -> bytes:
    body = struct.pack("<HHHBB", access, base, length, bus, len(path) - 1)
    nodes = [struct.pack("<BBHBB", 1, 1, 6, function, device) for device, function in path]
    return header(model.PCI, body + b"".join(nodes))


def pci(nodes: int = 1, device: int = 3) -> bytes:
    return pci_path([(device, 0)] * nodes)


def end(continuation: int = 0, flags: int = 0) -> bytes:
    return header(model.END, struct.pack("<Q", continuation), flags)


ANY = header(model.ALL, b"")
REGISTER = header(model.REGISTER, struct.pack("<IIQQ", 2, 0, 0, 1))


def register(number: int, read: int, write: int) -> bytes:
    return header(model.REGISTER, struct.pack("<IIQQ", number, 0, read, write))


def trapped(base: int, length: int, flags: int) -> bytes:
    return header(model.TRAPPED, struct.pack("<HHHH", base, length, flags, 0))


# Everything is too much to count: places on both sides of each limit, and what the descriptors below name.
_FUNCTIONS = [(bus, device, function) for bus in (0, 1, 4) for device in (1, 2, 3, 5, 6, 31) for function in (0, 1)]
_ECAM_PAGES = [ECAM.start // PAGE + (bus * 32 + device) * 8 + function for bus, device, function in _FUNCTIONS]
WATCHED: model.Watched = {
    "memory": sorted(
        {
            *range(20),
            *(
                limit // PAGE + n
                for limit in (TSEG.start, MSEG.start, TSEG.stop, ECAM.start, ECAM.stop)
                for n in range(-6, 8)
            ),
            *(ECAM.start // PAGE + n for n in (0x1FF, 0x200)),
            *(page + n for page in _ECAM_PAGES for n in (0, 1)),
            (1 << BITS) // PAGE - 1,
        }
    ),
    "io": sorted({*range(20), *range(0x5F, 0x67), *range(0xE8, 0xF6), *range(0xCF0, 0xD08), 0xFFFF}),
    "msr": sorted(
        64 * index + bit
        for index in (*range(8), 0x1FFF, 0x2000, 0xC000_0080, 0xFFFF_FFFF)
        for bit in (0, 1, 2, 7, 39, 40, 41, 63)
    ),
    "register": [*range(5 * 64)],
    "pci": sorted(
        model.PCI_FUNCTION * ((bus * 32 + device) * 8 + function) + register
        for bus, device, function in [(0, 0, 0), *_FUNCTIONS, (255, 31, 7)]
        for register in (0, 3, 4, 5, 6, *range(0x17, 0x24), 0x105, 0x106, 0xFFB, 0xFFC, 0xFFF)
    ),
}

# Few places, so that what is named meets; model and code walk all of them.
addresses = st.builds(
    lambda page, offset: page * PAGE + offset,
    st.one_of(st.integers(0, 12), st.integers(-2, 2).map(lambda n: n + MSEG.start // PAGE)),
    st.sampled_from((0, 0, 0, 1, 0xFFF)),
)
lengths = st.one_of(st.integers(1, 6).map(lambda pages: pages * PAGE), st.integers(1, 3 * PAGE))
memories = st.builds(memory, addresses, lengths, st.integers(0, 7), st.sampled_from((model.MEM, model.MMIO)))
some_ports = st.one_of(st.integers(0, 12), st.integers(0, 12), st.integers(0xE8, 0xF2))
ports = st.builds(io, some_ports, st.integers(1, 6))
_msr_masks = st.sampled_from((0, 1, 0x80, 1 << 40, 3 << 39, 0x83, 2**64 - 1))
msrs = st.builds(msr, st.one_of(st.integers(0, 6), st.just(0xC000_0080)), _msr_masks, _msr_masks)
# Paths that lead to the same functions, to others, and nowhere.
paths = st.sampled_from(
    (
        *([(3, 0)], [(3, 1)], [(1, 0)], [(1, 0), (2, 0)], [(1, 0), (2, 0), (3, 0)]),
        *([(1, 0), (2, 0), (3, 0), (1, 0)], [(5, 0), (1, 0)], [(3, 0), (1, 0)], [(1, 0), (6, 0)]),
    )
)
registers = st.sampled_from(((0, 4), (4, 2), (6, 0x100), (0x18, 1), (0x19, 2), (0x1A, 8), (0xFFC, 4), (0, 0x1000)))
pcis = st.builds(
    lambda path, place, access, bus: pci_path(path, place[0], place[1], access, bus),
    *(paths, registers, st.integers(0, 3), st.sampled_from((0, 0, 0, 1, 4))),
)
traps = st.builds(trapped, some_ports, st.integers(1, 6), st.integers(0, 7))
_masks = st.sampled_from((0, 0, 1, 0x8001_0001, 1 << 63, 2**64 - 1))
controls = st.builds(register, st.integers(0, 4), _masks, _masks)
others = st.sampled_from((ANY, REGISTER, pci(), pci(3), io(0xCF8, 8), memory(ECAM.start, 0x20_0000)))
good = st.one_of(memories, memories, ports, msrs, pcis, traps, controls, others)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A descriptor with one field that is not, or perhaps not, allowed."""
    one = bytearray(draw(good))
    place = draw(st.integers(0, len(one) - 1))
    one[place] = draw(st.integers(0, 255))
    return bytes(one)


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """A page with a list: mostly well-formed, sometimes spoiled, cut or without an end."""
    parts = draw(st.lists(st.one_of(good, good, good, good, spoiled()), max_size=8))
    tail = draw(st.sampled_from((end(), end(), end(), end(), end(0x5000), end(flags=1), end(flags=0x8000), b"")))
    fill = draw(st.sampled_from((b"\0", b"\xff")))
    return (b"".join(parts) + tail).ljust(PAGE, fill)[:PAGE]


def places(profile: Profile, watched: model.Watched | None = None) -> set[model.Place]:
    """The profile as a set; its ranges must be sorted, disjoint and as few as can be."""
    reader = model.Profile(watched=watched)
    found: set[model.Place] = set()
    last: Range | None = None
    for one in profile.ranges[: profile.count]:
        assert one.base < one.end and one.access
        if last is not None:
            assert (last.space, last.base) < (one.space, one.base)
            if last.space == one.space:
                assert last.end < one.base or (last.end == one.base and last.access != one.access)
        unit = PAGE if one.space == 0 else 1
        assert one.base % unit == one.end % unit == 0
        found |= reader.of((SPACES[one.space], one.base // unit, one.end // unit, one.access))
        last = one
    return found


def returned(page: bytes, descriptors: list[model.Descriptor]) -> list[bool]:
    return [bool(page[one.offset + 6] & 1) for one in descriptors]
