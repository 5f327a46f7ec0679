# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Calls in each state by several processors, against the table tests/machine/stm/orders.toml; the STM's own code."""

from __future__ import annotations

import itertools
import struct

import pytest

from tests.host import api_model as model
from tests.host import resource_model as resources
from tests.host.conftest import Build
from tests.host.resource_lists import end, memory
from tests.host.resource_model import PAGE
from tests.host.test_api import EXECUTIVE, LIST, Stm, build, get, put
from tests.support.stm_interface import calls, statuses
from tests.support.stm_orders import Executive, load

ORDERS = load()
TABLE = {(row.state, row.call): row for row in ORDERS.executive}
STATES = tuple(dict.fromkeys(row.state for row in ORDERS.executive))
LOG, VMCS, GUARDED = EXECUTIVE + 2 * PAGE, EXECUTIVE + 3 * PAGE, 0x10_0000
NEW_LOG, CLEAR_LOG = 1, 5
# To come to a state.
WAYS = {"off": (), "initialized": ("INITIALIZE_PROTECTION",), "started": ("INITIALIZE_PROTECTION", "START")}


@pytest.fixture(scope="module")
def stm(build_library: Build) -> Stm:
    return build(build_library)


class Session:
    """What the table says of several processors, and requests that are good ones whatever came before."""

    def __init__(self, stm: Stm, processors: int) -> None:
        stm.start()
        self.stm = stm
        self.states = ["off"] * processors
        self.log = self.record = False

    def wanted(self, processor: int, call: str) -> tuple[str, str]:
        """Status and state that follow."""
        state = self.states[processor]
        others = (each for place, each in enumerate(self.states) if place != processor)
        if state == "off" and any(each != "off" for each in others) and call in ORDERS.others:
            return ORDERS.others[call]
        row = TABLE[state, call]
        return row.status, row.following

    def request(self, call: str) -> bytes:
        """A page with good parameters."""
        if call in ("PROTECT_RESOURCE", "UNPROTECT_RESOURCE"):
            return (memory(GUARDED, PAGE) + end()).ljust(PAGE, b"\0")
        if call == "MANAGE_VMCS_DATABASE":
            return struct.pack("<QII", VMCS, 0, not self.record).ljust(PAGE, b"\0")
        if call == "MANAGE_EVENT_LOG":
            return struct.pack("<IIQ", CLEAR_LOG if self.log else NEW_LOG, 1, LOG).ljust(PAGE, b"\0")
        return b"\x5a" * PAGE

    def make(self, processor: int, call: str) -> None:
        """A call, compared with the table; a request is written only as the call says."""
        status, following = self.wanted(processor, call)
        page = self.request(call)
        put(LIST, page)
        registers = self.stm.call(processor, number(call), LIST | 0x123)
        assert hex(registers[0]) == hex(statuses()[status]), (processor, call, self.states)
        good = status == "STM_SUCCESS"
        if good and call == "INITIALIZE_PROTECTION":
            assert registers[1] == 0
        else:
            assert registers[1] == LIST | 0x123
        assert registers[2:] == [LIST >> 32, 0]
        after = get(LIST, PAGE)
        if good and call in ("PROTECT_RESOURCE", "UNPROTECT_RESOURCE"):
            assert after[6] == 1
            after = after[:6] + b"\0" + after[7:]
        elif good and call == "GET_BIOS_RESOURCES":
            assert after[:16] == end()
            after = page[:16] + after[16:]
        assert after == page
        self.states[processor] = following
        if all(state == "off" for state in self.states):
            self.log = self.record = False
        elif good and call == "MANAGE_VMCS_DATABASE":
            self.record = not self.record
        elif good and call == "MANAGE_EVENT_LOG":
            self.log = True

    def check_states(self) -> None:
        """Who is inside, and who has started: without a change of either."""
        for processor, state in enumerate(self.states):
            inside = bool(self.stm.library.TestIsInside(processor))
            assert inside == (state != "off")
            if inside:
                assert hex(self.stm.call(processor, model.INITIALIZE)[0]) == hex(model.ALREADY_STARTED)
            if state == "started":
                assert hex(self.stm.call(processor, model.START)[0]) == hex(model.ALREADY_STARTED)


def number(call: str) -> int:
    """EAX."""
    return next(row.number for row in ORDERS.executive if row.call == call)


@pytest.mark.parametrize("row", ORDERS.executive, ids=lambda row: row.name)
def test_each_call_beside_another_processor(stm: Stm, row: Executive) -> None:
    """Whatever the other processor's state is; it stays as it is."""
    for other in STATES:
        session = Session(stm, 2)
        for call in WAYS[other]:
            session.make(1, call)
        for call in WAYS[row.state]:
            session.make(0, call)
        session.make(0, row.call)
        session.check_states()
        assert session.states[1] == other


def test_another_processor(stm: Stm) -> None:
    """It joins by INITIALIZE_PROTECTION or START, whatever is protected stays so, and goes with the last one's STOP."""
    for call in ("INITIALIZE_PROTECTION", "START"):
        session = Session(stm, 2)
        session.make(0, "INITIALIZE_PROTECTION")
        session.make(0, "PROTECT_RESOURCE")
        protected = stm.profile()
        assert protected == {("memory", GUARDED // PAGE, access) for access in (1, 2, 4)}
        session.make(1, call)
        assert stm.profile() == protected
        session.make(0, "STOP")
        assert stm.profile() == protected
        session.make(1, "STOP")
        session.make(1, "INITIALIZE_PROTECTION")
        assert stm.profile() == set()


def test_no_room_for_another_processor(stm: Stm) -> None:
    """MSEG has room for two: a third is refused by either call, and comes when one has stopped."""
    for call in ("INITIALIZE_PROTECTION", "START"):
        session = Session(stm, 3)
        session.make(1, "INITIALIZE_PROTECTION")
        session.make(2, "START")
        assert hex(stm.call(0, calls()[call])[0]) == hex(resources.OUT_OF_RESOURCES)
        session.check_states()
        session.make(1, "STOP")
        session.make(0, call)
        session.check_states()


def test_every_three_calls_of_two_processors(stm: Stm) -> None:
    """Each sequence, right or wrong."""
    every = [(processor, call) for processor in (0, 1) for call in dict.fromkeys(row.call for row in ORDERS.executive)]
    for sequence in itertools.product(every, repeat=3):
        session = Session(stm, 2)
        for processor, call in sequence:
            session.make(processor, call)
        session.check_states()
