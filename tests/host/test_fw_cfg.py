# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The reader of fw_cfg files, against QEMU's interface by its two ports."""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

SIGNATURE, DIRECTORY, FIRST_FILE = 0x00, 0x19, 0x20
NAME = b"opt/org.stmlab/stm-image"
other_names = st.binary(min_size=1, max_size=55).filter(lambda name: b"\0" not in name and name != NAME)


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    loaded = build_library("fw_cfg", "tests/host/fw_cfg_stub.c", "StmPkg/Library/StmFwCfgLib/StmFwCfgLib.c")
    loaded.StmFwCfgOpen.restype = ctypes.c_uint8
    return loaded


class FwCfg:
    """The device, with files."""

    def __init__(self, library: ctypes.CDLL, files: list[tuple[bytes, bytes]], signature: bytes = b"QEMU") -> None:
        self.library = library
        directory = struct.pack(">I", len(files))
        self.items = {SIGNATURE: signature}
        for number, (name, content) in enumerate(files, FIRST_FILE):
            directory += struct.pack(">IHH56s", len(content), number, 0, name)
            self.items[number] = content
        self.items[DIRECTORY] = directory
        for number, content in self.items.items():
            library.TestItem(number, content, len(content))
        ctypes.c_uint32.in_dll(library, "TestBadAccesses").value = 0

    def read(self, name: bytes) -> bytes | None:
        size = ctypes.c_uint64(99)
        found = self.library.StmFwCfgOpen(name, ctypes.byref(size))
        if not found:
            assert size.value == 0
            return None
        buffer = ctypes.create_string_buffer(size.value)
        half = size.value // 2
        self.library.StmFwCfgRead(ctypes.c_uint64(half), buffer)
        rest = ctypes.create_string_buffer(size.value)
        self.library.StmFwCfgRead(ctypes.c_uint64(size.value - half), rest)
        assert ctypes.c_uint32.in_dll(self.library, "TestBadAccesses").value == 0
        return buffer.raw[:half] + rest.raw[: size.value - half]


@given(st.lists(st.tuples(other_names, st.binary(max_size=40)), max_size=12), st.binary(max_size=300), st.data())
def test_a_file_among_others(
    library: ctypes.CDLL, others: list[tuple[bytes, bytes]], content: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(others)))
    device = FwCfg(library, [*others[:place], (NAME, content), *others[place:]])
    assert device.read(NAME) == content
    assert FwCfg(library, others).read(NAME) is None


def test_a_name_that_only_begins_alike_is_another(library: ctypes.CDLL) -> None:
    device = FwCfg(library, [(NAME + b"-2", b"no"), (NAME[:-1], b"no"), (NAME, b"yes")])
    assert device.read(NAME) == b"yes"
    assert device.read(NAME[:-2]) is None


@pytest.mark.parametrize("signature", [b"", b"\xff\xff\xff\xff", b"qemu"])
def test_without_the_device_there_is_no_file(library: ctypes.CDLL, signature: bytes) -> None:
    assert FwCfg(library, [(NAME, b"x")], signature).read(NAME) is None
