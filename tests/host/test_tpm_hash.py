# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SHA-256 of the measuring modules: data in pieces of any length, against FIPS 180-4's examples and Python's."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

BLOCK = 64
TPM_ALG_SHA256 = 0xB
AROUND = [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000]


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    files = ("StmPkg/Library/TpmSha256Lib/TpmSha256Lib.c", "StmPkg/Library/StmHashLib/StmHashLib.c")
    return build_library("tpm_hash", "tests/host/tpm_hash_stub.c", *files)


def digest(library: ctypes.CDLL, pieces: Sequence[bytes]) -> bytes:
    sizes = (ctypes.c_uint64 * max(1, len(pieces)))(*map(len, pieces))
    result = ctypes.create_string_buffer(32)
    assert library.TestHash(b"".join(pieces), sizes, len(pieces), result) == TPM_ALG_SHA256
    assert ctypes.c_uint32.in_dll(library, "TestAllocations").value == 0
    return result.raw


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
    ids=["nothing", "one block", "two blocks", "a million"],
)
def test_examples_of_the_standard(library: ctypes.CDLL, data: bytes, wanted: str) -> None:
    assert digest(library, [data]).hex() == wanted


@pytest.mark.parametrize("size", AROUND)
@pytest.mark.parametrize("first", [0, 1, 55, 56, 63, 64, 65, 128])
def test_pieces_around_block_bounds(library: ctypes.CDLL, first: int, size: int) -> None:
    data = bytes(index % 251 for index in range(first + size))
    assert digest(library, [data[:first], data[first:]]) == hashlib.sha256(data).digest()


@given(st.lists(st.one_of(st.binary(max_size=3 * BLOCK), st.sampled_from(AROUND).map(bytes)), max_size=8))
def test_any_pieces(library: ctypes.CDLL, pieces: list[bytes]) -> None:
    assert digest(library, pieces) == hashlib.sha256(b"".join(pieces)).digest()


def test_without_memory_it_does_not_begin(library: ctypes.CDLL) -> None:
    no_memory = ctypes.c_uint8.in_dll(library, "TestNoMemory")
    no_memory.value = 1
    try:
        assert library.TestHash(b"", (ctypes.c_uint64 * 1)(0), 1, ctypes.create_string_buffer(32)) == 0
    finally:
        no_memory.value = 0
