# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The one writer of line records, read back by the lab's own grammar."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.observation.events import parse_records
from tests.host.conftest import Build

PORT = 0x405
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=300)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    loaded = build_library("record", "tests/host/record_stub.c", "StmPkg/Library/StmRecordLib/StmRecordLib.c")
    loaded.StmRecordBytes.restype = ctypes.c_char_p
    return loaded


def text(library: ctypes.CDLL) -> str:
    """Everything written since the last call."""
    length = ctypes.c_uint32.in_dll(library, "TestTextLength")
    assert ctypes.c_uint16.in_dll(library, "TestPort").value == PORT
    written = (ctypes.c_char * 0x10000).in_dll(library, "TestText").raw[: length.value].decode("ascii")
    length.value = 0
    return written


@settings(deadline=None)
@given(u64, words, u32, u64, u32, u64)
def test_every_conversion(library: ctypes.CDLL, time: int, word: str, small: int, large: int, x: int, lx: int) -> None:
    library.StmRecordAt(
        PORT,
        b"APP",
        b"check",
        ctypes.c_uint64(time),
        b"text=%a u=%u lu=%lu x=0x%x lx=0x%lx end=1",
        word.encode(),
        ctypes.c_uint32(small),
        ctypes.c_uint64(large),
        ctypes.c_uint32(x),
        ctypes.c_uint64(lx),
    )
    written = text(library)
    fields = f"text={word} u={small} lu={large} x={x:#x} lx={lx:#x} end=1"
    assert written == f"APP: ev=check t={time} {fields}\n"
    (record,) = parse_records(written)
    assert (record.source, record.event, record.t) == ("APP", "check", time)
    assert dict(record.fields) == {
        "text": word,
        "u": str(small),
        "lu": str(large),
        "x": hex(x),
        "lx": hex(lx),
        "end": "1",
    }


def test_the_present_time_and_no_fields(library: ctypes.CDLL) -> None:
    library.StmRecord(PORT, b"STM", b"start", b"")
    library.StmRecord(PORT, b"STM", b"stop", b"")
    first, second = parse_records(text(library))
    assert (first.event, second.event) == ("start", "stop")
    assert second.t == first.t + 1
    assert not first.fields


@pytest.mark.parametrize(
    ("given_format", "written"), [(b"a=%", "a=%"), (b"a=%l", "a=%l"), (b"a=%q", "a=%q"), (b"a=%s b=1", "a=%s b=1")]
)
def test_an_unknown_conversion_is_written_as_it_stands(library: ctypes.CDLL, given_format: bytes, written: str) -> None:
    library.StmRecordAt(PORT, b"FW", b"bad", ctypes.c_uint64(1), given_format)
    assert text(library) == f"FW: ev=bad t=1 {written}\n"


def test_every_caller_keeps_to_the_known_conversions(checkout: Path) -> None:
    formats: list[str] = []
    for path in sorted((checkout / "StmPkg").rglob("*.c")):
        for call in re.findall(r"\b(?:StmRecord(?:At)?|[A-Z]+_RECORD) \((.*?)\);", path.read_text(), re.DOTALL):
            formats += re.findall(r'"((?:[^"\\]|\\.)*)"', call)
    conversions = [found for text in formats for found in re.findall(r"%.[a-z]?", text)]
    assert len(conversions) > 40
    assert {found if found[1] == "l" else found[:2] for found in conversions} <= {"%a", "%u", "%x", "%lu", "%lx"}


@given(st.binary(max_size=64))
def test_bytes(library: ctypes.CDLL, data: bytes) -> None:
    room = ctypes.create_string_buffer(2 * len(data) + 1)
    room.raw = b"#" * len(room)
    assert library.StmRecordBytes(data, ctypes.c_uint64(len(data)), room) == data.hex().encode()
