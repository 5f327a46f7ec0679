# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Resource lists and the protection profile against a reference model: StmResourceLib, and Claim.c and Profile.c."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.host import resource_model as model
from tests.host.conftest import Build
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


class Profile(ctypes.Structure):
    """STM_PROFILE."""

    _fields_ = (("count", ctypes.c_uint64), ("ranges", Range * 341))


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    lists = ("StmPkg/Library/StmResourceLib/Resource.c", "StmPkg/Library/StmResourceLib/BiosList.c")
    names = ("Claim.c", "Profile.c", "List.c", "PciPath.c")
    protection = [f"StmPkg/Stm/Protect/{name}" for name in names]
    library = build_library("resource", "tests/host/resource_stub.c", *lists, *protection)
    for function in (library.StmProfileApply, library.StmBiosListCopy, library.StmProfileAt):
        function.restype = ctypes.c_uint32
    assert library.TestProfileRanges() == len(Profile().ranges)
    assert ctypes.sizeof(Profile) <= 2 * PAGE
    return library


# Lists


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


def claims_of(library: ctypes.CDLL, claims: list[bytes]) -> tuple[Limits, list[model.Descriptor]]:
    """The firmware's list, given to the code as it keeps it, and to the model."""
    text = (b"".join(claims) + end()).ljust(PAGE, b"\0")
    limits = Limits(BITS, 1, TSEG.start, TSEG.stop, MSEG.start, MSEG.stop, 0, ECAM.start, len(ECAM), READER)
    buffer = ctypes.create_string_buffer(text, BIOS_PAGES * PAGE)
    limits.list = ctypes.addressof(buffer)
    limits.kept = buffer
    return limits, model.parse(text, BITS)[0]


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


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.booleans(), pages()), max_size=6), st.lists(good, max_size=3))
# Ports that are to be trapped in neither direction: nothing to protect, so nothing that a claim is against.
@example([(True, (trapped(0xCF8, 8, 0) + end()).ljust(PAGE, b"\0"))], [pci()])
def test_calls_as_the_model(library: ctypes.CDLL, calls: list[tuple[bool, bytes]], claimed: list[bytes]) -> None:
    """Status, ReturnStatus of each descriptor and the profile after a sequence of calls."""
    # A claim of everything and of MSEG leaves nothing to test most of the time.
    limits, claims = claims_of(library, claimed[:2])
    profile, reference = Profile(), model.Profile(watched=WATCHED)
    for protect, page in calls:
        draft = Profile.from_buffer_copy(profile)
        text = ctypes.create_string_buffer(page, PAGE)
        status = library.StmProfileApply(ctypes.byref(draft), ctypes.byref(limits), text, ctypes.c_ubyte(protect))
        wanted, granted = reference.apply(page, LIMITS, claims, protect)
        assert hex(status) == hex(wanted)
        assert returned(text.raw, model.parse(page, BITS)[0]) == granted
        # Nothing but ReturnStatus changes.
        before, after = bytearray(page), bytearray(text.raw)
        for one in model.parse(page, BITS)[0]:
            before[one.offset + 6] &= 0xFE
            after[one.offset + 6] &= 0xFE
        assert before == after
        if status in (model.SUCCESS, model.UNPROTECTABLE_RESOURCE):
            profile = draft
        assert places(profile, WATCHED) == reference.places


@pytest.mark.parametrize(
    "page",
    [
        end(0x1000),
        end(flags=1),
        memory(0, PAGE, flags=1) + end(),
        memory(0, PAGE, flags=2) + end(),
        memory(0, 0) + end(),
        memory(2**64 - PAGE, 2 * PAGE) + end(),
        memory((1 << BITS) - PAGE, PAGE + 1) + end(),
        memory(0, PAGE, access=8) + end(),
        io(0xFFFF, 2) + end(),
        io(0, 0) + end(),
        header(9, b"") + end(),
        header(model.ALL, b"", length=0) + end(),
        header(model.MEM, bytes(24), length=8) + end(),
        pci(device=32) + end(),
        ANY * 512,
        ANY * 511 + b"\0" * 8,
    ],
    ids=[
        *("continuation", "end-returned", "returned", "reserved", "empty", "wraps", "beyond-width", "attributes"),
        *("ports-wrap", "no-ports", "type", "zero-length", "short", "device", "no-end", "end-cut"),
    ],
)
@pytest.mark.parametrize("protect", [True, False])
def test_malformed(library: ctypes.CDLL, page: bytes, protect: bool) -> None:
    limits, _ = claims_of(library, [])
    profile = Profile()
    text = ctypes.create_string_buffer(page.ljust(PAGE, b"\0"), PAGE)
    status = library.StmProfileApply(ctypes.byref(profile), ctypes.byref(limits), text, ctypes.c_ubyte(protect))
    assert hex(status) == hex(model.MALFORMED)


def apply(library: ctypes.CDLL, profile: Profile, *descriptors: bytes, protect: bool = True) -> int:
    limits, _ = claims_of(library, [])
    text = ctypes.create_string_buffer((b"".join(descriptors) + end()).ljust(PAGE, b"\0"), PAGE)
    call: Callable[..., int] = library.StmProfileApply
    return call(ctypes.byref(profile), ctypes.byref(limits), text, ctypes.c_ubyte(protect))


def test_unprotect_of_msegs_pages_changes_nothing(library: ctypes.CDLL) -> None:
    profile = Profile()
    assert apply(library, profile, io(0x60, 5)) == model.SUCCESS
    for base, length in ((MSEG.start, PAGE), (MSEG.start - PAGE, PAGE + 1), (0, 1 << BITS)):
        draft = Profile.from_buffer_copy(profile)
        assert apply(library, draft, io(0x60, 1), memory(base, length), protect=False) == model.UNSPECIFIED


def protect(library: ctypes.CDLL, claims: list[bytes], *descriptors: bytes) -> tuple[Profile, int]:
    """What a first call protects, and its status."""
    limits, _ = claims_of(library, claims)
    profile = Profile()
    text = ctypes.create_string_buffer((b"".join(descriptors) + end()).ljust(PAGE, b"\0"), PAGE)
    status = library.StmProfileApply(ctypes.byref(profile), ctypes.byref(limits), text, ctypes.c_ubyte(1))
    return profile, status


def test_all_is_what_the_firmware_does_not_need(library: ctypes.CDLL) -> None:
    """All but its claims, TSEG and the ports of string instructions, space by space; nothing if it claims all.

    All of it is given back at once.
    """
    whole = {0: 1 << BITS, 1: 0x1_0000, 2: 64 << 32, 3: 1 << 28}
    profile, status = protect(library, [memory(0x5000, PAGE, 3), io(0x60, 5), msr(0x1B, 1, 0)], ANY)
    assert status == model.SUCCESS
    found = [(one.space, one.base, one.end, one.access) for one in profile.ranges[: profile.count]]
    assert found == [
        *((0, 0, 0x5000, 7), (0, 0x5000, 0x6000, 4), (0, 0x6000, TSEG.start, 7), (0, TSEG.stop, whole[0], 7)),
        *((1, 0, 0x60, 3), (1, 0x65, 0xED, 3), (1, 0xF1, whole[1], 3)),
        *((2, 0, 64 * 0x1B, 3), (2, 64 * 0x1B, 64 * 0x1C, 2), (2, 64 * 0x1C, whole[2], 3)),
        (3, 0, whole[3], 3),
    ]
    assert apply(library, profile, memory(0x1000, PAGE), protect=False) == model.SUCCESS
    assert apply(library, profile, ANY, protect=False) == model.SUCCESS
    assert profile.count == 0
    assert protect(library, [ANY], ANY)[1] == model.UNPROTECTABLE_RESOURCE


def test_a_claim_of_configuration_space_is_one_of_its_memory(library: ctypes.CDLL) -> None:
    """The firmware reaches 0:3.0 by ports or in memory: the executive monitor gets neither."""
    page = memory(ECAM.start + (3 << 15), PAGE, 1)
    for claims, wanted in (([pci()], model.UNPROTECTABLE_RESOURCE), ([], model.SUCCESS)):
        assert hex(protect(library, claims, page)[1]) == hex(wanted)


@pytest.mark.parametrize(("flags", "access"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (7, 3)])
def test_trapped_ports_have_directions(library: ctypes.CDLL, flags: int, access: int) -> None:
    profile, status = protect(library, [], trapped(0x70, 2, flags))
    assert status == model.SUCCESS
    found = [(one.space, one.base, one.end, one.access) for one in profile.ranges[: profile.count]]
    assert found == ([(1, 0x70, 0x72, access)] if access else [])
    assert apply(library, profile, io(0x70, 1), trapped(0x71, 1, flags), protect=False) == model.SUCCESS
    assert profile.count == 0


@pytest.mark.parametrize(
    ("one", "granted"),
    [
        (io(0xED, 1), False),
        (io(0xF0, 1), False),
        (io(0xE0, 0x20), False),
        (io(0, 0x1_0000 - 1), False),
        (trapped(0xED, 4, 1), False),
        (trapped(0xEF, 1, 2), False),
        (trapped(0xED, 4, 4), True),
        (io(0xE0, 0xD), True),
        (io(0xF1, 4), True),
    ],
    ids=["first", "last", "around", "almost-all", "in", "out", "no-direction", "below", "above"],
)
def test_the_ports_of_string_instructions_stay_open(library: ctypes.CDLL, one: bytes, granted: bool) -> None:
    """INS and OUTS at an intercepted port run at EDH to F0H first: denied, and what else the list names is not."""
    limits, claims = claims_of(library, [])
    page = (io(0x80, 1) + one + end()).ljust(PAGE, b"\0")
    profile, reference = Profile(), model.Profile(watched=WATCHED)
    text = ctypes.create_string_buffer(page, PAGE)
    status = library.StmProfileApply(ctypes.byref(profile), ctypes.byref(limits), text, ctypes.c_ubyte(1))
    assert hex(status) == hex(model.SUCCESS if granted else model.UNPROTECTABLE_RESOURCE)
    assert returned(text.raw, model.parse(page, BITS)[0]) == [True, granted]
    assert reference.apply(page, LIMITS, claims, True) == (status, [True, granted])
    end_of = ctypes.c_uint64()
    for port in range(0xED, 0xF1):
        assert library.StmProfileAt(ctypes.byref(profile), 1, ctypes.c_uint64(port), ctypes.byref(end_of)) == 0
    assert library.StmProfileAt(ctypes.byref(profile), 1, ctypes.c_uint64(0x80), ctypes.byref(end_of)) == 3


@pytest.mark.parametrize(
    ("make", "number", "switched"),
    [(msr, 0x1A0, False), (msr, 0xC000_0080, True), (register, 4, False)],
    ids=["msr", "msr-in-the-vmcs", "control-register"],
)
def test_bits_that_the_firmware_needs(
    library: ctypes.CDLL, make: Callable[[int, int, int], bytes], number: int, switched: bool
) -> None:
    """Of what it writes the bits, of what it reads all, and of what VM entries switch all: each bit asked for alone."""
    needed = 1 << 63 | 0x83
    for bit in range(64):
        _, status = protect(library, [make(number, 0, needed)], make(number, 0, 1 << bit))
        assert status == (model.UNPROTECTABLE_RESOURCE if switched or needed >> bit & 1 else model.SUCCESS), bit
        _, status = protect(library, [make(number, 0, needed)], make(number, 1 << bit, 0))
        assert status == model.SUCCESS, bit
        _, status = protect(library, [make(number, needed, 0)], make(number, 1 << bit, 0))
        assert status == model.UNPROTECTABLE_RESOURCE, bit


def test_no_room(library: ctypes.CDLL) -> None:
    """As many ranges as there is room for, then a status; fewer after UNPROTECT."""
    profile = Profile()
    status, number = model.SUCCESS, 0
    while status == model.SUCCESS:
        kept = Profile.from_buffer_copy(profile)
        status = apply(library, profile, memory(2 * number * PAGE, PAGE))
        number += 1
    assert hex(status) == hex(model.OUT_OF_RESOURCES)
    assert kept.count == number - 1 >= 256
    # A page less in the middle of a range needs one more, too.
    whole = Profile.from_buffer_copy(kept)
    assert apply(library, whole, memory(0, 2 * number * PAGE)) == model.SUCCESS
    assert whole.count == 1
    assert apply(library, kept, memory(0, 0x10 * PAGE), protect=False) == model.SUCCESS
    assert apply(library, kept, memory(0, PAGE)) == model.SUCCESS


# The firmware's list


class Smram:
    """TSEG of the host: descriptors at addresses of this process."""

    def __init__(self, library: ctypes.CDLL, size: int = 16 * PAGE) -> None:
        self.library = library
        self.buffer = ctypes.create_string_buffer(size)
        self.base = ctypes.addressof(self.buffer)
        self.limits = Limits(52, 0, self.base, self.base + size, self.base + size - PAGE, self.base + size)
        self.pages = ctypes.create_string_buffer(BIOS_PAGES * PAGE)

    def put(self, offset: int, text: bytes) -> int:
        ctypes.memmove(self.base + offset, text, len(text))
        return self.base + offset

    def copy(self, address: int, room: int = BIOS_PAGES) -> tuple[int, int]:
        """Status and number of pages."""
        count = ctypes.c_uint32(room)
        call = self.library.StmBiosListCopy
        status = call(ctypes.byref(self.limits), ctypes.c_uint64(address), self.pages, ctypes.byref(count))
        return status, count.value

    def listed(self, count: int) -> list[bytes]:
        """The descriptors of the pages made, END of each page left out."""
        found: list[bytes] = []
        for number in range(count):
            page = self.pages.raw[number * PAGE : (number + 1) * PAGE]
            descriptors, good_list = model.parse(page, 52)
            assert good_list
            found += [page[one.offset : one.offset + one.length] for one in descriptors]
        return found


def test_no_list_is_a_lone_end(library: ctypes.CDLL) -> None:
    smram = Smram(library)
    assert smram.copy(0) == (model.SUCCESS, 1)
    assert smram.pages.raw[:16] == end()
    assert smram.copy(smram.put(0x123, end())) == (model.SUCCESS, 1)
    assert smram.pages.raw[:16] == end()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.one_of(good, st.just(pci(100))), max_size=40), min_size=1, max_size=4))
def test_firmwares_list_in_pages(library: ctypes.CDLL, parts: list[list[bytes]]) -> None:
    """Parts anywhere in SMRAM, one naming the next: the same descriptors, in pages that each have an END."""
    smram = Smram(library, 64 * PAGE)
    next_part = 0
    for number, part in reversed(list(enumerate(parts))):
        next_part = smram.put(number * 10 * PAGE + 7 * number, b"".join(part) + end(next_part))
    status, count = smram.copy(next_part)
    wanted = [one for part in parts for one in part]
    if status == model.OUT_OF_RESOURCES:
        assert sum(len(one) for one in wanted) > (BIOS_PAGES - 1) * (PAGE - 16 - 616)
        return
    assert (status, smram.listed(count)) == (model.SUCCESS, wanted)


def test_long_lists(library: ctypes.CDLL) -> None:
    """127 descriptors of 32 bytes and the END fill a page."""
    smram = Smram(library, 64 * PAGE)
    for number, pages_wanted in ((127, 1), (128, 2), (4 * 127, 4)):
        assert smram.copy(smram.put(0, msr(0x10, 1, 1) * number + end())) == (model.SUCCESS, pages_wanted)
        assert smram.listed(pages_wanted) == [msr(0x10, 1, 1)] * number
    assert smram.copy(smram.put(0, msr(0x10, 1, 1) * (4 * 127 + 1) + end()))[0] == model.OUT_OF_RESOURCES


def test_bad_lists_of_the_firmware(library: ctypes.CDLL) -> None:
    smram = Smram(library)
    size = 16 * PAGE
    cycle = smram.put(0, end(smram.base))
    assert smram.copy(cycle)[0] == model.MALFORMED
    assert smram.copy(smram.base - 0x1000)[0] == model.MALFORMED
    assert smram.copy(2**64 - 8)[0] == model.MALFORMED
    assert smram.copy(smram.put(0, end(0x1000)))[0] == model.MALFORMED
    # In MSEG, or with its last bytes there.
    assert smram.copy(smram.put(size - PAGE, end()))[0] == model.MALFORMED
    assert smram.copy(smram.put(size - PAGE - 8, end()))[0] == model.MALFORMED
    assert smram.copy(smram.put(0, header(model.END, bytes(8), length=0)))[0] == model.MALFORMED
    assert smram.copy(smram.put(0, memory(0, PAGE, flags=1) + end()))[0] == model.MALFORMED
    # What the STM needs for its own protection.
    mseg = smram.limits.mseg_base
    assert smram.copy(smram.put(0, memory(mseg - PAGE, 2 * PAGE) + end()))[0] == model.UNPROTECTABLE
    assert smram.copy(smram.put(0, msr(0x9B, 0, 1) + end()))[0] == model.UNPROTECTABLE
    assert smram.copy(smram.put(0, msr(0x9B, 1, 0) + end()))[0] == model.SUCCESS
