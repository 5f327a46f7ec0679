# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The calls of the API in any order, by several processors, against the model.

Api/, Session/, Protect/, State/, and what the event log has of all that: Event/.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from build_scripts import paths
from build_scripts.fuzzing import targets
from tests.host import api_model as model
from tests.host import event_model as events
from tests.host import resource_model as resources
from tests.host.conftest import Build
from tests.host.resource_lists import ANY, REGISTER, Profile, end, io, memory, msr, places
from tests.host.resource_model import PAGE

BITS = 36
EXECUTIVE, TSEG, MSEG, TOP = 0x6000_0000, 0x6F80_0000, 0x6FE0_0000, 0x7000_0000
BIOS_LIST, TABLES, REQUEST = TSEG + 0x9_0000, TSEG + 0x10_0000, TSEG + 0x11_0000
LIMITS = resources.Limits(BITS, range(TSEG, TOP), range(MSEG, TOP))
PROCESSORS, ROOM = 3, 2
LIST, DATA = EXECUTIVE, EXECUTIVE + PAGE
LOG_PAGES = tuple(EXECUTIVE + number * PAGE for number in range(4, 8))
VMCSS = tuple(EXECUTIVE + number * PAGE for number in range(8, 12))
FLAGS, CARRY = 0x8D5, 1

_BASES = st.sampled_from((0x10_0000, TSEG - 2 * PAGE, MSEG - 2 * PAGE, TOP, 1 << 32, (1 << BITS) - 4 * PAGE))
_memories = st.builds(
    lambda base, page, pages, access: memory(base + page * PAGE, pages * PAGE, access),
    _BASES,
    st.integers(0, 6),
    st.integers(1, 4),
    st.integers(0, 7),
)
_ports = st.builds(io, st.sampled_from((0x60, 0x62, 0x403, 0xFFFC)), st.integers(1, 4))
_bits = st.sampled_from((0, 1))
_msrs = st.builds(msr, st.sampled_from((0x9B, 0x1B, 0x176, 0xC000_0082, 0x2000)), _bits, _bits)
_descriptors = st.one_of(_memories, _memories, _ports, _msrs)
_lists = st.lists(st.one_of(_descriptors, _descriptors, st.just(REGISTER)), max_size=5)
_tails = st.sampled_from((end(), end(), end(), end(), end(0x1000), end(flags=1), b""))
# What a firmware may claim.
_claimed_msrs = st.builds(msr, st.sampled_from((0x176, 0x174, 0x9B)), st.just(1), _bits)
_claims = st.lists(st.one_of(_ports, _ports, _claimed_msrs, _memories), max_size=3)
_processors = st.integers(0, PROCESSORS - 1)
_foreign_pages = st.sampled_from((0xA_0000, TSEG, MSEG, TOP, 0xFEE0_0000, 1 << BITS))
_calls_with_page = st.sampled_from((model.PROTECT, model.UNPROTECT, model.RESOURCES, model.DATABASE, model.EVENT_LOG))
_foreign = st.sampled_from((0xA_0000, 0xB_F000, TSEG, MSEG, TOP, 0xFEE0_0000, 1 << BITS, 2**64 - PAGE))
_vmcss = st.one_of(st.sampled_from(VMCSS), st.sampled_from(VMCSS), _foreign, st.just(VMCSS[0] + 8))
_policies = st.one_of(st.integers(0, 0x3FF), st.integers(0, 2**32 - 1))
_log_pages = st.one_of(
    st.lists(st.sampled_from(LOG_PAGES), min_size=1, max_size=3, unique=True),
    st.lists(st.one_of(st.sampled_from((*LOG_PAGES, LOG_PAGES[0] + 8)), _foreign), min_size=1, max_size=3),
)
_log_calls = st.sampled_from((events.START, events.START, events.STOP, events.CLEAR, events.DELETE, 0, 7, 2**32 - 1))
_bitmaps = st.one_of(st.integers(0, 1023), st.just(1023), st.just(1024), st.just(2**31))
_offsets, _lengths = st.sampled_from((0, 5, PAGE - 1)), st.sampled_from((1, 8, 2 * PAGE))
_numbers = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 8), st.just(0x1_0000))


@dataclass
class Stm:
    """The real code, on a platform of the host's."""

    library: ctypes.CDLL

    def __post_init__(self) -> None:
        for function in (self.library.TestCall, self.library.TestHandlerCall):
            function.restype = ctypes.c_uint64
        self.library.TestProfile.restype = ctypes.POINTER(Profile)

    def start(self) -> None:
        self.library.TestStart(ctypes.c_uint32(BITS), ctypes.c_uint32(ROOM), ctypes.c_ubyte(1))

    def call(self, processor: int, number: int, address: int = 0, edx: int = 0) -> list[int]:
        """RAX, RBX, RCX, RDX after a call of the executive monitor's; checks its flags."""
        registers = (ctypes.c_uint64 * 4)(number, address & 0xFFFF_FFFF, address >> 32, edx)
        flags = self.library.TestCall(ctypes.c_uint32(processor), registers)
        assert flags & FLAGS == (CARRY if registers[0] else 0)
        return list(registers)

    def handler_call(self, processor: int, number: int, address: int = 0) -> int:
        """The status of a call of the SMI handler's."""
        registers = (ctypes.c_uint64 * 4)(number, address & 0xFFFF_FFFF, address >> 32, 0)
        flags = self.library.TestHandlerCall(ctypes.c_uint32(processor), ctypes.c_uint64(TABLES), registers)
        assert flags & FLAGS == (CARRY if registers[0] else 0)
        return registers[0]

    def profile(self) -> set[resources.Place]:
        return places(self.library.TestProfile().contents)


# A process has one: its memory lies at addresses of its own choice.
_BUILT: list[Stm] = []


def build(build_library: Build) -> Stm:
    """The same files as in the fuzz target; functions that none of them defines are looked for when they are called."""
    if not _BUILT:
        files = targets.load()["api"].files()
        own = [str(path.relative_to(paths.CHECKOUT)) for path in files if "fuzz" not in path.parts]
        _BUILT.append(Stm(build_library("api", *own, lazy=True)))
    return _BUILT[0]


@pytest.fixture(scope="module")
def stm(build_library: Build) -> Stm:
    return build(build_library)


def put(address: int, text: bytes) -> None:
    ctypes.memmove(address, text, len(text))


def get(address: int, size: int) -> bytes:
    return ctypes.string_at(address, size)


class Calls(RuleBasedStateMachine):
    """Any call at any time; the model says what must come of it."""

    stm: Stm

    @initialize()
    def power_on(self) -> None:
        self.stm.start()
        self.model = model.Machine(ROOM, LIMITS, [model.OFF] * PROCESSORS, own=frozenset(LOG_PAGES))
        put(BIOS_LIST, end())
        self.stm.library.TestGiveList(ctypes.c_uint64(0))

    @rule(processor=_processors, number=st.sampled_from((model.INITIALIZE, model.START, model.STOP)))
    def live(self, processor: int, number: int) -> None:
        before = self.model.states[processor]
        status, rbx, rcx, _ = self.stm.call(processor, number)
        assert hex(status) == hex(self.model.life(processor, number))
        assert (rbx, rcx) == (0, 0)
        if before == model.OFF and status:
            assert not self.stm.library.TestIsInside(ctypes.c_uint32(processor))

    @rule(processor=_processors, listed=_lists, tail=_tails, protect=st.booleans())
    def change(self, processor: int, listed: list[bytes], tail: bytes, protect: bool) -> None:
        page = (b"".join(listed) + tail).ljust(PAGE, b"\xff" if len(tail) else b"\0")
        put(LIST, page)
        descriptors = resources.parse(page, BITS)[0]
        wanted, granted = self.model.change(processor, page, protect)
        number = model.PROTECT if protect else model.UNPROTECT
        # Bits 11:0 of the address do not count.
        status, rbx, _, rdx = self.stm.call(processor, number, LIST | 0x321, 0x77)
        assert hex(status) == hex(wanted)
        assert (rbx, rdx) == (LIST | 0x321, 0x77)
        after = bytearray(get(LIST, PAGE))
        assert [bool(after[one.offset + 6] & 1) for one in descriptors] == granted
        for one in descriptors:
            after[one.offset + 6] = after[one.offset + 6] & 0xFE | page[one.offset + 6] & 1
        assert bytes(after) == page

    @rule(processor=_processors, page=_foreign_pages, number=_calls_with_page)
    def name_a_page(self, processor: int, page: int, number: int) -> None:
        """A page that is not the executive monitor's."""
        off = self.model.states[processor] == model.OFF
        status = self.stm.call(processor, number, page)[0]
        assert hex(status) == hex(model.UNSPECIFIED if off else model.SECURITY_VIOLATION)
        self.model.tell(number, status)

    def request(self, processor: int, number: int, text: bytes) -> int:
        """A call with a request, which is an input only: its status."""
        page = text.ljust(PAGE, b"\xee")
        put(LIST, page)
        status, rbx, _, rdx = self.stm.call(processor, number, LIST | 0xFFF, 0x77)
        assert (rbx, rdx, get(LIST, PAGE)) == (LIST | 0xFFF, 0x77, page)
        return status

    @rule(processor=_processors, vmcs=_vmcss, policy=_policies, add=st.sampled_from((0, 0, 1, 1, 1, 2, 2**32 - 1)))
    def manage_domains(self, processor: int, vmcs: int, policy: int, add: int) -> None:
        status = self.request(processor, model.DATABASE, struct.pack("<QII", vmcs, policy, add))
        assert hex(status) == hex(self.model.manage_domain(processor, vmcs, policy, add))

    @rule(processor=_processors, pages=_log_pages, wanted=_bitmaps)
    def make_log(self, processor: int, pages: list[int], wanted: int) -> None:
        """NEW_LOG and CONFIGURE_LOG."""
        self.log_call(processor, events.NEW, len(pages), pages)
        self.log_call(processor, events.CONFIGURE, wanted)

    @rule(processor=_processors, function=_log_calls)
    def call_log(self, processor: int, function: int) -> None:
        self.log_call(processor, function)

    @rule(processor=_processors, count=st.sampled_from((0, 65, 511, 2**32 - 1)))
    def make_log_of_a_bad_size(self, processor: int, count: int) -> None:
        self.log_call(processor, events.NEW, count, [LOG_PAGES[0]] * 510)

    def log_call(self, processor: int, function: int, value: int = 0, pages: list[int] | None = None) -> None:
        named = pages or []
        body = struct.pack(f"<II{len(named)}Q", function, value, *named)
        status = self.request(processor, model.EVENT_LOG, body)
        assert hex(status) == hex(self.model.manage_log(processor, function, value, named))

    @rule(claims=_claims, more=st.sampled_from((0, 0, 0, 0, 126, 127, 128, 254, 300)))
    def offer(self, claims: list[bytes], more: int) -> None:
        """The firmware has another list, of one page to three: it counts from the next session on."""
        text = b"".join(claims) + b"".join(msr(0x3000 + number, 1, 0) for number in range(more))
        put(BIOS_LIST, text + end())
        self.stm.library.TestGiveList(ctypes.c_uint64(BIOS_LIST))
        self.model.offered, self.model.sound = resources.parse((text + end()).ljust(PAGE, b"\0"), BITS)
        self.model.text = text

    @precondition(lambda self: self.model.members > 0)
    @rule(processor=_processors)
    def read_claims(self, processor: int) -> None:
        """Page by page until EDX is 0: whole descriptors, an END behind them, and nothing written behind it."""
        text, index = b"", 0
        while True:
            put(DATA, b"\x5a" * PAGE)
            status, _, _, following = self.stm.call(processor, model.RESOURCES, DATA, index)
            if self.model.states[processor] == model.OFF:
                assert hex(status) == hex(model.UNSPECIFIED)
                return
            assert status == 0
            page = get(DATA, PAGE)
            found, good = resources.parse(page, BITS)
            used = sum(one.length for one in found)
            assert good and page[used : used + 16] == end()
            assert page[used + 16 :] == b"\x5a" * (PAGE - used - 16)
            text += page[:used]
            if following == 0:
                break
            assert following == index + 1
            index = following
        assert text == self.model.claimed
        for absent in (index + 1, 2**32 - 1):
            put(DATA, b"\x5a" * PAGE)
            status, _, _, following = self.stm.call(processor, model.RESOURCES, DATA, absent)
            assert (hex(status), following) == (hex(model.PAGE_NOT_FOUND), absent)
            assert get(DATA, PAGE) == b"\x5a" * PAGE

    @precondition(lambda self: model.STARTED in self.model.states)
    @rule(base=_BASES, page=st.integers(0, 6), offset=_offsets, length=_lengths)
    def look_up(self, base: int, page: int, offset: int, length: int) -> None:
        processor = self.model.states.index(model.STARTED)
        address = base + page * PAGE + offset
        put(REQUEST, struct.pack("<QIQQIIQQ", address, length, TABLES, 0, 0x10, 0, 0x5A5A, 0))
        status = self.stm.handler_call(processor, model.LOOKUP, REQUEST)
        assert hex(status) == hex(self.model.look_up(address, length))
        self.model.tell(model.LOOKUP, status)
        (physical,) = struct.unpack_from("<Q", get(REQUEST, 52), 36)
        assert physical == (0x5A5A if status else address)

    @precondition(lambda self: model.STARTED in self.model.states)
    @rule(number=st.one_of(st.integers(5, 2**32 - 1), st.just(0)))
    def call_nothing_as_handler(self, number: int) -> None:
        processor = self.model.states.index(model.STARTED)
        assert hex(self.stm.handler_call(processor, number)) == hex(model.INVALID_API)
        self.model.tell(number, model.INVALID_API)

    @rule(processor=_processors, number=_numbers)
    def call_nothing(self, processor: int, number: int) -> None:
        if 0x1_0001 <= number <= 0x1_0008:
            return
        assert hex(self.stm.call(processor, number)[0]) == hex(model.INVALID_API)
        self.model.tell(number, model.INVALID_API)

    @invariant()
    def nothing_else_is_protected(self) -> None:
        if self.model.members:
            assert self.stm.profile() == self.model.profile.places
            profile = self.model.profile
            claimed = {place for one in self.model.claims if one.ranges for place in profile.of(one.ranges)}
            assert not claimed & self.model.profile.places

    @invariant()
    def log_has_what_happened(self) -> None:
        """Each event where it happens, in the pages of the log; after the last STOP they are left alone."""
        for slot, wanted in self.model.log.entries.items() if self.model.log.pages else ():
            serial, kind, flags, data = struct.unpack(
                "<IHH248s", get(self.model.log.pages[slot // 16] + slot % 16 * 256, 256)
            )
            found = events.Entry(serial, kind, flags, data.rstrip(b"\0"))
            assert found == events.Entry(wanted.serial, wanted.type, wanted.flags, wanted.data.rstrip(b"\0")), slot

    @invariant()
    def who_is_inside(self) -> None:
        inside = [bool(self.stm.library.TestIsInside(ctypes.c_uint32(n))) for n in range(PROCESSORS)]
        assert inside == [state != model.OFF for state in self.model.states]


def test_calls_in_any_order(stm: Stm) -> None:
    Calls.stm = stm
    run_state_machine_as_test(Calls, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


@pytest.mark.parametrize("claim", [memory(MSEG, PAGE), msr(0x9B, 0, 1)])
def test_the_stms_own_is_not_claimed(stm: Stm, claim: bytes) -> None:
    """INITIALIZE_PROTECTION, and a START before it, fail and leave no STM active; with another list it succeeds."""
    stm.start()
    put(BIOS_LIST, claim + end())
    stm.library.TestGiveList(ctypes.c_uint64(BIOS_LIST))
    assert hex(stm.call(0, model.START)[0]) == hex(resources.UNPROTECTABLE)
    assert not stm.library.TestIsInside(ctypes.c_uint32(0))
    assert hex(stm.call(0, model.INITIALIZE)[0]) == hex(resources.UNPROTECTABLE)
    assert not stm.library.TestIsInside(ctypes.c_uint32(0))
    put(BIOS_LIST, ANY + end())
    assert stm.call(0, model.INITIALIZE)[0] == 0
    put(LIST, (io(0x60, 1) + end()).ljust(PAGE, b"\0"))
    assert hex(stm.call(0, model.PROTECT, LIST)[0]) == hex(resources.UNPROTECTABLE_RESOURCE)


def test_start_without_the_bit(stm: Stm) -> None:
    """EDX bit 0 of START needs IA32_VMX_MISC[28]."""
    stm.start()
    stm.library.TestCapabilities(ctypes.c_uint64(1 << 5))
    assert stm.call(0, model.INITIALIZE)[0] == 0
    assert hex(stm.call(0, model.START, edx=1)[0]) == hex(model.UNSUPPORTED_MSR_BIT)
    assert stm.call(0, model.START)[0] == 0


def test_mappings_are_not_made(stm: Stm) -> None:
    """MAP_ADDRESS_RANGE and UNMAP_ADDRESS_RANGE: the handler maps memory itself."""
    stm.start()
    assert stm.call(0, model.INITIALIZE)[0] == stm.call(0, model.START)[0] == 0
    for number in (model.MAP, model.UNMAP):
        assert hex(stm.handler_call(0, number)) == hex(model.FUNCTION_NOT_SUPPORTED)


def test_tables_of_nobody(stm: Stm) -> None:
    """ADDRESS_LOOKUP takes the CR3 of somebody who was interrupted, and no other."""
    stm.start()
    assert stm.call(0, model.INITIALIZE)[0] == stm.call(0, model.START)[0] == 0
    for cr3, wanted in ((TABLES, 0), (TABLES + PAGE, model.BAD_CR3)):
        put(REQUEST, struct.pack("<QIQQIIQQ", EXECUTIVE, 8, cr3, 0, 0x10, 0, 0x5A5A, 0))
        assert hex(stm.handler_call(0, model.LOOKUP, REQUEST)) == hex(wanted)
