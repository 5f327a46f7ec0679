# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Resource lists and the protection profile against a reference model: StmResourceLib, and Claim.c and Profile.c."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.host import resource_model as model
from tests.host.conftest import Build
from tests.host.resource_lists import (
    ANY,
    BIOS_PAGES,
    BITS,
    ECAM,
    LIMITS,
    MSEG,
    READER,
    TSEG,
    WATCHED,
    Limits,
    Profile,
    end,
    good,
    header,
    io,
    memory,
    msr,
    pages,
    pci,
    places,
    register,
    returned,
    trapped,
)
from tests.host.resource_model import PAGE


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


def claims_of(library: ctypes.CDLL, claims: list[bytes]) -> tuple[Limits, list[model.Descriptor]]:
    """The firmware's list, given to the code as it keeps it, and to the model."""
    text = (b"".join(claims) + end()).ljust(PAGE, b"\0")
    limits = Limits(BITS, 1, TSEG.start, TSEG.stop, MSEG.start, MSEG.stop, 0, ECAM.start, len(ECAM), READER)
    buffer = ctypes.create_string_buffer(text, BIOS_PAGES * PAGE)
    limits.list = ctypes.addressof(buffer)
    limits.kept = buffer
    return limits, model.parse(text, BITS)[0]


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
        *((1, 0, 0x60, 3), (1, 0x65, 0xED, 3), (1, 0xF1, 0x80ED, 3), (1, 0x80F1, whole[1], 3)),
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
        (io(0x80ED, 1), False),
        (io(0x80F0, 1), False),
        (trapped(0x80ED, 4, 2), False),
        (io(0x80F1, 1), True),
        (io(0, 0x1_0000 - 1), False),
        (trapped(0xED, 4, 1), False),
        (trapped(0xEF, 1, 2), False),
        (trapped(0xED, 4, 4), True),
        (io(0xE0, 0xD), True),
        (io(0xF1, 4), True),
    ],
    ids=[
        *("first", "last", "around", "twin-first", "twin-last", "twin-out", "above-the-twins"),
        *("almost-all", "in", "out", "no-direction", "below", "above"),
    ],
)
def test_the_ports_of_string_instructions_stay_open(library: ctypes.CDLL, one: bytes, granted: bool) -> None:
    """INS and OUTS at an intercepted port run at EDH to F0H first: denied, and what else the list names is not.

    So are the ports of the upper half that have the same bits in the bitmap.
    """
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
