# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which memory is SMRAM: what the executive monitor may not name, and where PSD and save state may lie."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.conftest import Build

TSEG, MSEG, MSEG_END, TSEG_END = 0x1F80_0000, 0x1FE0_0000, 0x1FFF_0000, 0x2000_0000
EDGES = (0, 0xA_0000, 0xC_0000, TSEG, MSEG, MSEG_END, TSEG_END, 1 << 32, 1 << 63, (1 << 64) - 0x1000)

near = st.builds(lambda edge, offset: (edge + offset) % 2**64, st.sampled_from(EDGES), st.integers(-0x2000, 0x2000))
page = near.map(lambda address: address & ~0xFFF)


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    library = build_library("memory", "tests/host/memory_stub.c", "StmPkg/Stm/State/Memory.c")
    library.TestMap(*(ctypes.c_uint64(value) for value in (TSEG, TSEG_END, MSEG, MSEG_END)))
    return library


@settings(deadline=None, max_examples=400)
@given(page)
def test_pages_in_smram(library: ctypes.CDLL, address: int) -> None:
    """TSEG with MSEG, and the legacy region A0000H to BFFFFH."""
    inside = 0xA_0000 <= address < 0xC_0000 or TSEG <= address < TSEG_END
    assert library.TestPageInSmram(ctypes.c_uint64(address)) == inside


@settings(deadline=None, max_examples=400)
@given(near, st.one_of(st.integers(1, 0x1_0000), st.integers(1, 2**64 - 1)))
def test_ranges_in_the_handlers_smram(library: ctypes.CDLL, base: int, length: int) -> None:
    """TSEG without MSEG; a range that wraps around is nowhere."""
    end = base + length
    inside = base >= TSEG and end <= TSEG_END and (end <= MSEG or base >= MSEG_END)
    assert library.TestInHandlerSmram(ctypes.c_uint64(base), ctypes.c_uint64(length)) == inside


@settings(deadline=None, max_examples=400)
@given(st.one_of(page, st.sampled_from((1 << 40, 1 << 36, (1 << 40) - 0x1000))), st.sampled_from((36, 40)))
def test_pages_that_the_executive_may_name(library: ctypes.CDLL, address: int, bits: int) -> None:
    """Not in SMRAM, not where registers and flash memory are, and not beyond the last address."""
    smram = 0xA_0000 <= address < 0xC_0000 or TSEG <= address < TSEG_END
    allowed = address < 1 << bits and not smram and not TSEG <= address < 1 << 32
    assert library.TestPageIsExecutives(ctypes.c_uint64(address), ctypes.c_uint32(bits)) == allowed
