# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's ring, line records and crash record, read back by the lab's own grammar."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.observation.events import parse_records
from build_scripts.stm_image import layout
from tests.host.conftest import Build

RECORDS = 0x10000 // 64
TYPES = {1: "smi", 2: "exit", 3: "api"}
CLASSES = [
    "entry-failure",
    "unexpected-exit",
    "exception",
    "handler-triple-fault",
    "image-modified",
    "bad-state",
]

u64 = st.integers(0, 2**64 - 1)
record = st.tuples(st.sampled_from(sorted(TYPES)), u64, u64, u64, u64)
Record = tuple[int, int, int, int, int]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    parts = ("StmPkg/Stm/Log/Ring.c", "StmPkg/Stm/Log/Crash.c", "StmPkg/Library/StmRecordLib/StmRecordLib.c")
    return build_library("log", "tests/host/log_stub.c", *parts)


def put(library: ctypes.CDLL, values: Record) -> None:
    library.TestRing(ctypes.c_uint32(values[0]), *(ctypes.c_uint64(value) for value in values[1:]))


def text(library: ctypes.CDLL) -> str:
    """Everything written to the port since the last call."""
    length = ctypes.c_uint32.in_dll(library, "TestTextLength")
    buffer = (ctypes.c_char * 0x40000).in_dll(library, "TestText")
    result = buffer.raw[: length.value].decode("ascii")
    length.value = 0
    assert ctypes.c_uint32.in_dll(library, "TestWrongPort").value == 0
    return result


def lines(library: ctypes.CDLL) -> list[dict[str, str]]:
    """What was written, through the lab's parser."""
    found = parse_records(text(library))
    assert {one.source for one in found} <= {"STM"}
    return [{"ev": one.event, "t": str(one.t), **one.fields} for one in found]


@settings(deadline=None)
@given(st.lists(record, max_size=20))
def test_flush_writes_what_was_put(library: ctypes.CDLL, records: list[Record]) -> None:
    library.TestStart()
    for one in records:
        put(library, one)
    assert text(library) == "", "the ring writes no port"
    library.TestFlush()
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
    library.TestFlush()
    assert text(library) == "", "a record is written once"


@pytest.mark.parametrize("extra", [0, 1, 700, 2 * RECORDS])
def test_full_ring_keeps_the_newest(library: ctypes.CDLL, extra: int) -> None:
    assert layout.DYNAMIC_SHARED_SIZE - 0x27000 == RECORDS * 64
    library.TestStart()
    for number in range(RECORDS + extra):
        put(library, (1, number, 0, 0, 0))
    library.TestFlush()
    found = [int(one["reason"], 16) for one in lines(library)]
    assert found == list(range(extra, RECORDS + extra))


@pytest.mark.parametrize("number", range(len(CLASSES)))
def test_crash_record_comes_first_then_reset(library: ctypes.CDLL, number: int) -> None:
    library.TestStart()
    put(library, (2, 48, 1, 2, 3))
    library.TestCrash(ctypes.c_uint32(number), ctypes.c_uint64(17))
    crash, *rest = lines(library)
    assert crash == {
        "ev": "crash",
        "t": "1001",
        "class": CLASSES[number],
        "cpu": "1",
        "reason": "0x11",
        "qual": "0x2",
        "rip": "0x3",
        "error": "0x4",
        "cr2": "0xc2",
    }
    assert [one["ev"] for one in rest] == ([] if CLASSES[number] == "exception" else ["exit"])
    assert ctypes.c_uint32.in_dll(library, "TestResets").value == 1
