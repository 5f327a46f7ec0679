# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SHA-256 of loader and STM against Python's."""

from __future__ import annotations

import ctypes
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library("hash", "StmPkg/Library/StmHashLib/StmHashLib.c")


def digest(library: ctypes.CDLL, data: bytes) -> bytes:
    result = ctypes.create_string_buffer(32)
    library.StmSha256(data, ctypes.c_uint64(len(data)), result)
    return result.raw


@given(st.binary(max_size=300))
def test_any_bytes(library: ctypes.CDLL, data: bytes) -> None:
    assert digest(library, data) == hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [0, 55, 56, 63, 64, 65, 119, 120, 4096, 0x7000])
def test_padding_boundaries(library: ctypes.CDLL, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    assert digest(library, data) == hashlib.sha256(data).digest()
