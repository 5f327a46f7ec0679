# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's ring, line records and crash record, read back by the lab's own grammar.

Of several processors, too: each is a thread that runs when the others have given it its turn.
"""

from __future__ import annotations

import ctypes
import functools
import random
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.observation.events import parse_records
from tests.host.conftest import Build

RECORDS = 1024
TYPES = {1: "smi", 2: "exit", 3: "api"}
CLASSES = [
    "entry-failure",
    "unexpected-exit",
    "exception",
    "handler-triple-fault",
    "image-modified",
    "bad-state",
    "protection-exception",
    "handler-timeout",
    "snapshot-full",
]

u64 = st.integers(0, 2**64 - 1)
record = st.tuples(st.sampled_from(sorted(TYPES)), u64, u64, u64, u64)
Record = tuple[int, int, int, int, int]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    parts = [f"StmPkg/Stm/Log/{name}.c" for name in ("Ring", "Lock", "Crash")]
    return build_library("log", "tests/host/log_stub.c", *parts, "StmPkg/Library/StmRecordLib/StmRecordLib.c")


def put(library: ctypes.CDLL, values: Record, processor: int = 0) -> None:
    library.TestRing(processor, ctypes.c_uint32(values[0]), *(ctypes.c_uint64(value) for value in values[1:]))


def text(library: ctypes.CDLL) -> str:
    """Everything written to the port since the last call."""
    length = ctypes.c_uint32.in_dll(library, "TestTextLength")
    buffer = (ctypes.c_char * 0x40000).in_dll(library, "TestText")
    result = buffer.raw[: length.value].decode("ascii")
    length.value = 0
    assert ctypes.c_uint32.in_dll(library, "TestWrongPort").value == 0
    return result


def locks(library: ctypes.CDLL) -> int:
    """How often a lock was taken, or another atomic exchange made, since the start."""
    return ctypes.c_uint32.in_dll(library, "TestLocks").value


def lines(library: ctypes.CDLL) -> list[dict[str, str]]:
    """What was written, through the lab's parser."""
    found = parse_records(text(library))
    assert {one.source for one in found} <= {"STM"}
    return [{"ev": one.event, "t": str(one.t), **one.fields} for one in found]


@settings(deadline=None)
@given(st.lists(record, max_size=20))
def test_flush_writes_what_was_put(library: ctypes.CDLL, records: list[Record]) -> None:
    library.TestStart(1)
    for one in records:
        put(library, one)
    assert text(library) == "", "the ring writes no port"
    assert locks(library) == 0, "and takes no lock"
    library.TestFlush(0)
    written = lines(library)
    assert len(written) == len(records)
    for index, (found, (kind, reason, qualification, rip, address)) in enumerate(zip(written, records, strict=True)):
        assert found == {
            "ev": TYPES[kind],
            "t": str(1000 + index),
            "cpu": "3",
            "seq": str(index),
            "reason": hex(reason),
            "rip": hex(rip),
            "qual": hex(qualification),
            "address": hex(address),
        }
    library.TestFlush(0)
    assert text(library) == "", "a record is written once"


@pytest.mark.parametrize("extra", [0, 1, 700, 2 * RECORDS])
def test_full_ring_keeps_the_newest(library: ctypes.CDLL, extra: int) -> None:
    assert ctypes.c_uint32.in_dll(library, "TestRecords").value == RECORDS
    library.TestStart(1)
    for number in range(RECORDS + extra):
        put(library, (1, number, 0, 0, 0))
    library.TestFlush(0)
    found = [int(one["reason"], 16) for one in lines(library)]
    assert found == list(range(extra, RECORDS + extra))


def crash_record(library: ctypes.CDLL, cpu: int, name: str) -> dict[str, str]:
    return {
        "class": name,
        "cpu": str(cpu),
        "reason": "0x11",
        "qual": "0x2",
        "rip": "0x3",
        "error": "0x4",
        "cr2": "0xc2",
    }


@pytest.mark.parametrize("number", range(len(CLASSES)))
def test_crash_record_comes_first_then_reset(library: ctypes.CDLL, number: int) -> None:
    library.TestStart(1)
    put(library, (2, 48, 1, 2, 3))
    library.TestCrash(0, ctypes.c_uint32(number), ctypes.c_uint64(17))
    crash, *rest = lines(library)
    assert crash == {"ev": "crash", "t": "1001", **crash_record(library, 3, CLASSES[number])}
    assert [one["ev"] for one in rest] == ([] if CLASSES[number] == "exception" else ["exit"])
    assert ctypes.c_uint32.in_dll(library, "TestResets").value == 1


class Ended(Exception):
    """The platform has been reset, or the test is over."""


class Turns:
    """Processors as threads, one of which runs; who is next is drawn at each point where turns may change."""

    CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_uint32)

    def __init__(self, library: ctypes.CDLL, seed: int, often: float) -> None:
        self.library = library
        self.random = random.Random(seed)
        self.often = often
        self.running = 0
        self.waiting: dict[int, threading.Event] = {}
        self.resets: list[str] = []

    def turn(self, point: int) -> None:
        """Point 0: the STM waits; 1: it has written a byte; 2: it has reset the platform."""
        if point == 2:
            self.resets.append(text(self.library))
        if point == 0 or point == 2 or self.random.random() < self.often:
            self.next(self.running, leaves=point == 2)

    def next(self, number: int, leaves: bool) -> None:
        """Another processor runs; this one when it is drawn again, or never."""
        own = self.waiting[number]
        if leaves:
            # What the platform's reset does to the others: nothing of them is seen any more.
            return
        others = sorted(set(self.waiting) - {number})
        if not others:
            return
        own.clear()
        self.running = self.random.choice(others)
        self.waiting[self.running].set()
        own.wait()

    def run(self, *programs: Callable[[], None]) -> None:
        """Run the programs to their ends."""
        callback = self.CALLBACK(self.turn)
        pointer = ctypes.c_void_p.in_dll(self.library, "TestTurn")
        pointer.value = ctypes.cast(callback, ctypes.c_void_p).value
        self.waiting = {number: threading.Event() for number in range(len(programs))}

        def body(number: int, program: Callable[[], None]) -> None:
            self.waiting[number].wait()
            program()
            del self.waiting[number]
            if self.waiting:
                self.running = self.random.choice(sorted(self.waiting))
                self.waiting[self.running].set()

        threads = [threading.Thread(target=body, args=pair) for pair in enumerate(programs)]
        for thread in threads:
            thread.start()
        self.waiting[0].set()
        for thread in threads:
            thread.join(timeout=60)
        pointer.value = None
        assert not any(thread.is_alive() for thread in threads), "a processor waits for ever"


@pytest.mark.parametrize("seed", range(20))
def test_processors_write_whole_lines_once(library: ctypes.CDLL, seed: int) -> None:
    """START, STOP and SMIs of three processors in any order; the third one has the short ring."""
    library.TestStart(2)

    def processor(number: int) -> None:
        for value in range(8):
            library.TestRecord(number, ctypes.c_uint64(value))
            put(library, (1, value, 0, 0, 0), number)
            if value % 3 == 2:
                library.TestFlush(number)
        library.TestFlush(number)

    Turns(library, seed, often=0.1).run(*(functools.partial(processor, number) for number in range(3)))
    found = lines(library)
    for number in range(3):
        own = [one for one in found if one["cpu"] == str(3 + number)]
        assert [int(one["value"], 16) for one in own if one["ev"] == "start"] == list(range(8))
        assert [int(one["seq"]) for one in own if one["ev"] == "smi"] == list(range(8))
    assert len(found) == 3 * 16
    assert library.TestLockOwner() == 0


def test_without_the_lock_lines_are_cut(library: ctypes.CDLL) -> None:
    """What the turns above are worth: the same lines, written without the lock, come out cut."""
    library.TestStart(2)
    broken = 0
    for seed in range(20):

        def processor(number: int) -> None:
            library.TestUnlocked(number, ctypes.c_uint64(7))

        Turns(library, seed, often=0.1).run(*(functools.partial(processor, number) for number in range(3)))
        try:
            parse_records(text(library))
        except ValueError:
            broken += 1
    assert broken >= 10


@pytest.mark.parametrize("seed", range(20))
def test_processors_that_crash_together_leave_a_record_each(library: ctypes.CDLL, seed: int) -> None:
    library.TestStart(2)
    library.TestInside(3)
    turns = Turns(library, seed, often=0.1)
    turns.run(*(functools.partial(library.TestCrash, number, number, ctypes.c_uint64(17)) for number in range(3)))
    # Up to the first reset: what comes later nobody sees.
    found = [one for one in parse_records(turns.resets[0]) if one.event == "crash"]
    assert sorted(one.fields["cpu"] for one in found) == ["3", "4", "5"]
    for one in found:
        assert one.fields == crash_record(library, int(one.fields["cpu"]), CLASSES[int(one.fields["cpu"]) - 3])


def test_crash_within_a_record_begins_a_line(library: ctypes.CDLL) -> None:
    """The lock is this processor's own: no wait, and the cut line ends before the crash record."""
    library.TestStart(1)
    library.TestHold(0)
    library.TestCrash(0, 2, ctypes.c_uint64(17))
    empty, crash = text(library).split("\n")[:2]
    assert empty == ""
    assert crash.startswith("STM: ev=crash ")


def test_crash_takes_the_lock_from_a_processor_that_keeps_it(library: ctypes.CDLL) -> None:
    library.TestStart(1)
    library.TestHold(1)
    library.TestCrash(0, 2, ctypes.c_uint64(17))
    assert [one["ev"] for one in lines(library)] == ["crash"]
    assert ctypes.c_uint32.in_dll(library, "TestResets").value == 1
