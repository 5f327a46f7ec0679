# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The event log of MANAGE_EVENT_LOG against a reference model: Event/Event.c."""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.host import event_model as model
from tests.host.conftest import Build

FIRST, PAGES = 0x10_0000, 80
OWN = frozenset(FIRST + 4096 * number for number in range(PAGES))
REQUEST = FIRST + 4096 * (PAGES - 1)
SESSION_OPEN, SESSION_OVER = 0x8000_0001, 0xC000_0000


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    library = build_library("event", "tests/host/event_stub.c", "StmPkg/Stm/Event/Event.c")
    library.TestManage.restype = ctypes.c_uint32
    return library


class Code:
    """The C code and the memory of its executive monitor."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.memory = (ctypes.c_uint8 * (PAGES * 4096)).in_dll(library, "TestMemory")
        library.TestStart()

    def write(self, address: int, data: bytes) -> None:
        start = address - FIRST
        self.memory[start : start + len(data)] = list(data)

    def read(self, address: int, size: int) -> bytes:
        start = address - FIRST
        return bytes(self.memory[start : start + size])

    def manage(self, function: int, value: int = 0, pages: list[int] | None = None) -> int:
        body = b"".join(struct.pack("<Q", page) for page in pages or [])[: 4096 - 8]
        self.write(REQUEST, struct.pack("<II", function, value) + body)
        status = int(self.library.TestManage(ctypes.c_uint64(REQUEST)))
        assert ctypes.c_uint32.in_dll(self.library, "TestFaults").value == 0
        return status

    def event(self, kind: int, data: bytes) -> None:
        self.library.TestEvent(kind, data, ctypes.c_uint64(len(data)))
        assert ctypes.c_uint32.in_dll(self.library, "TestFaults").value == 0

    def entry(self, pages: list[int], slot: int) -> model.Entry:
        raw = self.read(pages[slot // 16] + slot % 16 * 256, 256)
        serial, kind, flags = struct.unpack_from("<IHH", raw)
        return model.Entry(serial, kind, flags, raw[8:].rstrip(b"\0"))


page_lists = st.lists(st.sampled_from(sorted(OWN - {REQUEST})), min_size=1, max_size=3, unique=True)
spoiled = st.lists(
    st.sampled_from((FIRST, FIRST + 0x1000, FIRST + 0x1001, FIRST - 0x1000, 0, 0xA_0000)), min_size=1, max_size=4
)


def test_any_sequence(library: ctypes.CDLL) -> None:
    """Calls, events, and an executive monitor that reads, locks and leaves entries: pages as the model has them."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.code = Code(library)
            self.model = model.EventLog(OWN)

        def both(self, function: int, value: int = 0, pages: list[int] | None = None) -> None:
            assert self.code.manage(function, value, pages) == self.model.manage(function, value, pages or [])

        @initialize(pages=page_lists, wanted=st.integers(1, 1023))
        def begin(self, pages: list[int], wanted: int) -> None:
            self.both(model.NEW, len(pages), pages)
            self.both(model.CONFIGURE, wanted)
            self.both(model.START)

        @rule(pages=st.one_of(page_lists, spoiled))
        def new(self, pages: list[int]) -> None:
            self.both(model.NEW, len(pages), pages)

        @rule(count=st.sampled_from((0, 65, 511, 2**32 - 1)))
        def new_with_a_bad_count(self, count: int) -> None:
            self.both(model.NEW, count, [FIRST] * 510)

        @rule(wanted=st.one_of(st.integers(0, 1023), st.integers(0, 2**32 - 1)))
        def configure(self, wanted: int) -> None:
            self.both(model.CONFIGURE, wanted)

        @rule(function=st.sampled_from((model.START, model.STOP, model.CLEAR, model.DELETE, 0, 7, 2**32 - 1)))
        def call(self, function: int) -> None:
            self.both(function)

        @rule(kind=st.integers(2, 9), data=st.binary(min_size=1, max_size=300), times=st.integers(1, 20))
        def event(self, kind: int, data: bytes, times: int) -> None:
            for _ in range(times):
                self.code.event(kind, data)
                self.model.event(kind, data)

        @rule(slot=st.integers(0, 47), flags=st.sampled_from((model.READ, model.LOCK, 0)))
        def mark(self, slot: int, flags: int) -> None:
            """The executive monitor sets a bit of a header, or clears all but Valid."""
            if not self.model.pages:
                return
            slot %= len(self.model.entries)
            old = self.model.entries[slot]
            old.flags = old.flags | flags if flags else old.flags & model.VALID
            place = self.model.pages[slot // 16] + slot % 16 * 256 + 6
            self.code.write(place, struct.pack("<H", old.flags))

        @invariant()
        def pages_are_as_the_model_has_them(self) -> None:
            if self.model.pages:
                for slot, wanted in self.model.entries.items():
                    found = self.code.entry(self.model.pages, slot)
                    wanted = model.Entry(wanted.serial, wanted.type, wanted.flags, wanted.data.rstrip(b"\0"))
                    assert found == wanted, slot

    run_state_machine_as_test(Machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


@pytest.mark.parametrize("count", [1, 64])
def test_wrap(library: ctypes.CDLL, count: int) -> None:
    """After the last entry comes the first; what was not read says so, what was read does not."""
    code = Code(library)
    pages = [FIRST + 4096 * number for number in range(count)][::-1]
    total = 16 * count
    assert code.manage(model.NEW, count, pages) == model.SUCCESS
    assert code.manage(model.CONFIGURE, 1 << 2) == model.SUCCESS
    assert code.manage(model.START) == model.SUCCESS
    for number in range(total):
        code.event(2, struct.pack("<I", number + 1))
    assert [code.entry(pages, slot).serial for slot in range(total)] == list(range(total))
    assert {code.entry(pages, slot).flags for slot in range(total)} == {model.VALID}
    code.write(pages[0] + 6, struct.pack("<H", model.VALID | model.READ))
    code.event(2, b"first")
    code.event(2, b"second")
    assert code.entry(pages, 0) == model.Entry(total, 2, model.VALID, b"first")
    assert code.entry(pages, 1) == model.Entry(total + 1, 2, model.VALID | model.WRAPPED, b"second")


def test_pages_are_left_alone_after_the_session(library: ctypes.CDLL) -> None:
    """The executive monitor uses them for something else by then."""
    code = Code(library)
    assert code.manage(model.NEW, 1, [FIRST]) == model.SUCCESS
    assert code.manage(model.CONFIGURE, 1023) == model.SUCCESS
    assert code.manage(model.START) == model.SUCCESS
    library.TestSession(ctypes.c_uint32(SESSION_OVER))
    before = code.read(FIRST, 4096)
    code.event(2, b"late")
    assert code.read(FIRST, 4096) == before
    library.TestSession(ctypes.c_uint32(SESSION_OPEN))
    code.event(2, b"in time")
    assert code.read(FIRST, 4096) != before


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**64 - 1))
def test_new_log_names_only_its_own_memory(library: ctypes.CDLL, page: int) -> None:
    code = Code(library)
    status = code.manage(model.NEW, 2, [FIRST, page])
    assert status == model.EventLog(OWN).manage(model.NEW, 2, [FIRST, page])
    assert code.manage(model.START) == (model.NO_EVENTS if status == model.SUCCESS else model.NOT_ALLOCATED)


def test_long_descriptor_is_cut(library: ctypes.CDLL) -> None:
    """A PCI path of many nodes does not fit into an entry; the next entry stays as it was."""
    code = Code(library)
    assert code.manage(model.NEW, 1, [FIRST]) == model.SUCCESS
    assert code.manage(model.CONFIGURE, 1 << 5) == model.SUCCESS
    assert code.manage(model.START) == model.SUCCESS
    descriptor = struct.pack("<IHH", 5, 22 + 6 * 200, 0) + b"\xee" * 1300
    library.TestResource(5, descriptor)
    assert code.entry([FIRST], 0).data == descriptor[:248]
    assert code.read(FIRST + 256, 256) == bytes(256)
