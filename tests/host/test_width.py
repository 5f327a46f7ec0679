# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The width of physical addresses, also on a processor that has no leaf to tell it: StmResourceLib/Width.c."""

from __future__ import annotations

import ctypes

import pytest

from tests.host.conftest import Build


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    library = build_library("width", "tests/host/width_stub.c", "StmPkg/Library/StmResourceLib/Width.c")
    library.StmPhysicalAddressBits.restype = ctypes.c_uint32
    return library


@pytest.mark.parametrize(
    ("last", "size", "beyond", "bits"),
    [
        (0x8000_0008, 0x3028, 0, 40),
        (0x8000_0008, 0x3039_3034, 0, 52),
        (0x8000_001F, 0x302E, 0, 46),
        # A processor without the leaf answers with the highest basic one, "CPUID", volume 2A.
        (0x8000_0001, 0x3028, 0, 36),
        (0x8000_0007, 0x3028, 0x7, 36),
        # None of the extended leaves at all.
        (0x0000_000D, 0x3028, 0, 36),
    ],
)
def test_width(library: ctypes.CDLL, last: int, size: int, beyond: int, bits: int) -> None:
    for name, value in (("mTestLast", last), ("mTestSize", size), ("mTestBeyond", beyond)):
        ctypes.c_uint32.in_dll(library, name).value = value
    assert library.StmPhysicalAddressBits() == bits
