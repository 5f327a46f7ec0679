# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each member of ADDRESS_LOOKUP's descriptor, and where the descriptor may be: the STM's own code against StmApi.h."""

from __future__ import annotations

import struct

import pytest

from tests.host import api_model as model
from tests.host.conftest import Build
from tests.host.resource_model import PAGE
from tests.host.test_api import BITS, EXECUTIVE, MSEG, REQUEST, TABLES, TOP, TSEG, Stm, build, get, put

IA32E = 0x10
LAYOUT, SIZE = struct.Struct("<QIQQIIQQ"), 52
UNTOUCHED = 0x5A5A
LONGEST = 0x1_0000
# SMRAM of the handler's that no other test writes to.
SPARE = TSEG + 0x12_0000


@pytest.fixture(scope="module")
def stm(build_library: Build) -> Stm:
    stm = build(build_library)
    stm.start()
    assert stm.call(0, model.INITIALIZE)[0] == stm.call(0, model.START)[0] == 0
    return stm


def look_up(
    stm: Stm, linear: int = EXECUTIVE, length: int = 8, eptp: int = 0, flags: int = IA32E, reserved: int = 0,
    mapped: int = 0, at: int = REQUEST,
) -> tuple[int, int]:  # fmt: skip
    """Status and PhysicalAddress; nothing else of the descriptor is written."""
    before = LAYOUT.pack(linear, length, TABLES, eptp, flags, reserved, UNTOUCHED, mapped)
    assert len(before) == SIZE
    put(at, before)
    status = stm.handler_call(0, model.LOOKUP, at)
    after = get(at, SIZE)
    assert after[:36] + after[44:] == before[:36] + before[44:]
    return status, struct.unpack_from("<Q", after, 36)[0]


def refused(status: int) -> tuple[str, int]:
    return hex(status), UNTOUCHED


def found(answer: tuple[int, int]) -> tuple[str, int]:
    return hex(answer[0]), answer[1]


def test_reserved_bits(stm: Stm) -> None:
    """Reserved1 is 27 bits behind InterruptedIa32eMode, Reserved2 the word behind them."""
    for bit in range(5, 32):
        assert found(look_up(stm, flags=IA32E | 1 << bit)) == refused(model.UNSPECIFIED), bit
    for bit in range(32):
        assert found(look_up(stm, reserved=1 << bit)) == refused(model.UNSPECIFIED), bit


@pytest.mark.parametrize("value", [1, 2, 3])
def test_no_mapping_is_made(stm: Stm, value: int) -> None:
    """MapToSmmGuest, with an address and without; what cannot be looked up is told before."""
    for mapped in (0, EXECUTIVE, 2**64 - PAGE):
        assert found(look_up(stm, flags=IA32E | value, mapped=mapped)) == refused(model.FUNCTION_NOT_SUPPORTED)
    assert found(look_up(stm, MSEG, flags=IA32E | value)) == refused(model.SECURITY_VIOLATION)


def test_mode_bits_of_another_mode_do_not_count(stm: Stm) -> None:
    """InterruptedCr4Pae and InterruptedCr4Pse say nothing more in IA-32e mode."""
    for flags in (IA32E | 4, IA32E | 8, IA32E | 12):
        assert found(look_up(stm, EXECUTIVE + 5, flags=flags)) == ("0x0", EXECUTIVE + 5)


@pytest.mark.parametrize(
    ("linear", "length", "status"),
    [
        (EXECUTIVE, 0, model.UNSPECIFIED),
        (EXECUTIVE, 1, 0),
        (EXECUTIVE + PAGE - 1, 1, 0),
        (EXECUTIVE, LONGEST, 0),
        (EXECUTIVE, LONGEST + 1, model.UNSPECIFIED),
        (EXECUTIVE, 2**32 - 1, model.UNSPECIFIED),
        (2**64 - 8, 8, model.UNSPECIFIED),
        (2**64 - 8, 9, model.UNSPECIFIED),
        (2**64 - 8, 7, model.PAGE_NOT_FOUND),
        ((1 << BITS) - 1, 1, 0),
        ((1 << BITS) - 1, 2, model.PAGE_NOT_FOUND),
        (1 << BITS, 1, model.PAGE_NOT_FOUND),
        ((1 << 39) - 1, 1, model.PAGE_NOT_FOUND),
        (1 << 39, 1, model.PAGE_NOT_FOUND),
        (1 << 47, 1, model.PAGE_NOT_FOUND),
        (1 << 63, 1, model.PAGE_NOT_FOUND),
        (MSEG - 1, 1, 0),
        (MSEG - 1, 2, model.SECURITY_VIOLATION),
        (TOP - 1, 1, model.SECURITY_VIOLATION),
        (TOP, 1, 0),
    ],
)
def test_addresses_and_lengths(stm: Stm, linear: int, length: int, status: int) -> None:
    assert found(look_up(stm, linear, length)) == (("0x0", linear) if status == 0 else refused(status))


@pytest.mark.parametrize("eptp", [1, 0x1E, MSEG, 2**64 - 1])
def test_nobodys_ept(stm: Stm, eptp: int) -> None:
    """No guest has been interrupted, so there is no EPT pointer but 0."""
    assert found(look_up(stm, eptp=eptp)) == refused(model.UNSPECIFIED)


def test_descriptor_is_in_one_page_of_the_handlers_smram(stm: Stm) -> None:
    for at in (SPARE, SPARE + PAGE - SIZE, SPARE + 3):
        assert found(look_up(stm, EXECUTIVE + 7, at=at)) == ("0x0", EXECUTIVE + 7)
    for at in (SPARE + PAGE - SIZE + 1, SPARE + PAGE - 1, EXECUTIVE, MSEG - 8):
        assert found(look_up(stm, at=at)) == refused(model.UNSPECIFIED), hex(at)
    # Where nothing may be written.
    for at in (0, 0xA_0000, MSEG, TOP - SIZE, TOP, 0xFEE0_0000, SPARE + (1 << 32), 1 << 39, 1 << 47, 2**64 - SIZE):
        assert hex(stm.handler_call(0, model.LOOKUP, at)) == hex(model.UNSPECIFIED), hex(at)


def test_cr3_has_to_be_the_whole_value(stm: Stm) -> None:
    """Not only the address of the tables."""
    for bit in (0, 3, 4, 12, 63):
        put(REQUEST, LAYOUT.pack(EXECUTIVE, 8, TABLES ^ 1 << bit, 0, IA32E, 0, UNTOUCHED, 0))
        assert hex(stm.handler_call(0, model.LOOKUP, REQUEST)) == hex(model.BAD_CR3), bit
