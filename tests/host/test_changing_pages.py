# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A page that another processor rewrites while the STM serves a call: what was checked is what counts."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host import api_model as model
from tests.host import event_model as events
from tests.host import resource_model as resources
from tests.host.conftest import Build
from tests.host.resource_lists import end, io, memory, msr
from tests.host.resource_model import PAGE
from tests.host.test_api import (
    BITS,
    DATA,
    LIMITS,
    LIST,
    LOG_PAGES,
    MSEG,
    PROCESSORS,
    ROOM,
    TSEG,
    VMCSS,
    Stm,
    build,
    get,
    put,
)

_descriptors = st.one_of(
    st.builds(memory, st.sampled_from((0x10_0000, MSEG - PAGE, TSEG - PAGE)), st.integers(1, 3 * PAGE)),
    st.builds(io, st.integers(0x60, 0x70), st.integers(1, 4)),
    st.builds(msr, st.sampled_from((0x176, 0x1A0)), st.just(1), st.just(1)),
    st.just(memory(0, 0)),
)
_pages = st.builds(
    lambda some, tail: (b"".join(some) + tail).ljust(PAGE, b"\xff"),
    st.lists(_descriptors, max_size=4),
    st.sampled_from((end(), end(), end(1), b"")),
)
_windows = st.integers(1, 3)


@pytest.fixture(scope="module")
def stm(build_library: Build) -> Iterator[Stm]:
    made = build(build_library)
    yield made
    made.library.TestChangeLater(bytes(PAGE), 0)


def worst(stm: Stm) -> int:
    """How often a window was opened on a page that is not the executive monitor's."""
    return ctypes.c_uint32.in_dll(stm.library, "TestWorstWindow").value


@settings(max_examples=300, deadline=None)
@given(before=_pages, after=_pages, windows=_windows, protect=st.booleans())
def test_list(stm: Stm, before: bytes, after: bytes, windows: int, protect: bool) -> None:
    """The list is what was copied; of the other page nothing changes but ReturnStatus where the list had one."""
    stm.start()
    machine = model.Machine(ROOM, LIMITS, [model.OFF] * PROCESSORS)
    assert stm.call(0, model.INITIALIZE)[0] == machine.life(0, model.INITIALIZE) == 0
    whole = (memory(0x10_0000, 4 * PAGE) + io(0x60, 0x20) + end()).ljust(PAGE, b"\0")
    put(LIST, whole)
    assert stm.call(0, model.PROTECT, LIST)[0] == machine.change(0, whole, True)[0] == 0
    put(LIST, before)
    stm.library.TestChangeLater(after, windows)
    status = stm.call(0, model.PROTECT if protect else model.UNPROTECT, LIST)[0]
    wanted, granted = machine.change(0, before, protect)
    assert hex(status) == hex(wanted)
    assert stm.profile() == machine.profile.places
    assert worst(stm) == 0
    if windows == 1:
        expected = bytearray(after)
        for one, grant in zip(resources.parse(before, BITS)[0], granted, strict=True):
            expected[one.offset + 6] = expected[one.offset + 6] & 0xFE | grant
        assert get(LIST, PAGE) == bytes(expected)


@settings(max_examples=100, deadline=None)
@given(first=st.sampled_from(VMCSS), second=st.sampled_from((TSEG, MSEG, VMCSS[3])), windows=_windows)
def test_database(stm: Stm, first: int, second: int, windows: int) -> None:
    """The record is of the VMCS that was checked."""
    stm.start()
    assert stm.call(0, model.INITIALIZE)[0] == 0
    put(LIST, struct.pack("<QII", first, 4, 1).ljust(PAGE, b"\0"))
    stm.library.TestChangeLater(struct.pack("<QII", second, 4, 1).ljust(PAGE, b"\0"), windows)
    assert stm.call(0, model.DATABASE, LIST)[0] == 0
    put(DATA, struct.pack("<QII", first, 0, 0).ljust(PAGE, b"\0"))
    assert stm.call(0, model.DATABASE, DATA)[0] == 0
    assert hex(stm.call(0, model.DATABASE, DATA)[0]) == hex(model.INVALID_VMCS_DATABASE)
    assert worst(stm) == 0


@settings(max_examples=100, deadline=None)
@given(page=st.sampled_from((TSEG, MSEG, 0xA_0000, LOG_PAGES[1])), count=st.integers(1, 65), windows=_windows)
def test_pages_of_a_log(stm: Stm, page: int, count: int, windows: int) -> None:
    """Whichever page the STM has read, it has checked that one: none that is not the executive monitor's is written."""
    stm.start()
    assert stm.call(0, model.INITIALIZE)[0] == 0
    put(LIST, struct.pack("<IIQ", events.NEW, 1, LOG_PAGES[0]).ljust(PAGE, b"\0"))
    stm.library.TestChangeLater(struct.pack("<II65Q", events.NEW, count, *[page] * 65).ljust(PAGE, b"\0"), windows)
    status = stm.call(0, model.EVENT_LOG, LIST)[0]
    assert hex(status) == (hex(model.SECURITY_VIOLATION) if windows == 1 and page != LOG_PAGES[1] else "0x0")
    assert worst(stm) == 0
