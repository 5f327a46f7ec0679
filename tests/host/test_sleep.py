# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is read of the ACPI tables about sleep."""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

NOT_THERE = 0xFF
HEADER = 36
FADT_SIZE = 244
PM1A_CNT, FIRMWARE_CTRL, DSDT, X_FIRMWARE_CTRL, X_DSDT = 64, 36, 40, 132, 140
SLP_EN = 0x2000
# As QEMU's q35 writes them: Name (_S3, Package () { 1, 1, 0, 0 }) and so on, between other names.
S3 = b"\x08_S3_\x12\x06\x04\x01\x01\x00\x00"
S4 = b"\x08_S4_\x12\x08\x04\x0a\x02\x0a\x02\x00\x00"
S5 = b"\x08_S5_\x12\x06\x04\x00\x00\x00\x00"


class Sleep(ctypes.Structure):
    _fields_ = [
        ("facs", ctypes.c_uint64),
        ("port", ctypes.c_uint16),
        ("type", ctypes.c_uint8 * 6),
        ("port_b", ctypes.c_uint16),
    ]


class Tables:
    """A FADT and its DSDT in memory."""

    def __init__(
        self, aml: bytes, port: int = 0x604, port_b: int = 0, length: int = FADT_SIZE, extended: bool = True
    ) -> None:
        dsdt = b"DSDT" + struct.pack("<I", HEADER + len(aml)) + bytes(HEADER - 8) + aml
        # Of its own size, so that a sanitizer or a guard page would see a read past it.
        self.dsdt = ctypes.create_string_buffer(dsdt, len(dsdt))
        fadt = bytearray(FADT_SIZE)
        struct.pack_into("<4sI", fadt, 0, b"FACP", length)
        struct.pack_into("<II", fadt, PM1A_CNT, port, port_b)
        struct.pack_into("<I", fadt, FIRMWARE_CTRL, 0x1F77E000)
        if extended:
            struct.pack_into("<Q", fadt, X_DSDT, ctypes.addressof(self.dsdt))
        self.fadt = ctypes.create_string_buffer(bytes(fadt), len(fadt))


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    loaded = build_library("sleep", "StmPkg/Library/StmSleepLib/StmSleepLib.c")
    loaded.StmSleepRead.restype = ctypes.c_uint8
    loaded.StmSleepState.restype = ctypes.c_uint8
    loaded.StmSleepState.argtypes = [ctypes.c_void_p, ctypes.c_uint16]
    return loaded


def read(library: ctypes.CDLL, tables: Tables) -> Sleep | None:
    sleep = Sleep()
    return sleep if library.StmSleepRead(tables.fadt, ctypes.byref(sleep)) else None


def test_tables_of_q35(library: ctypes.CDLL) -> None:
    sleep = read(library, Tables(b"\x10\x04PCI0" + S3 + S4 + S5 + b"\x5b\x82"))
    assert sleep is not None
    assert (sleep.port, sleep.facs) == (0x604, 0x1F77E000)
    assert list(sleep.type) == [NOT_THERE, NOT_THERE, NOT_THERE, 1, 2, 0]


@pytest.mark.parametrize(
    ("aml", "expected"),
    [
        (b"\x08\\_S3_\x12\x06\x04\x01", 1),  # the name with its root
        (b"\x08_S3_\x12\x46\x00\x04\x0a\x05", 5),  # a length of two bytes
        (b"\x08_S3_\x12\x06\x04\x0b\x05\x00", 5),
        (b"\x08_S3_\x12\x06\x04\x0a\x09", NOT_THERE),  # SLP_TYP has three bits
        (b"\x14_S3_\x12\x06\x04\x01", NOT_THERE),  # no Name operator
        (b"\x08_S3_\x0a\x01", NOT_THERE),  # no package
        (b"\x08_S3_", NOT_THERE),
        (b"\x08_S3_\x12", NOT_THERE),
        (b"\x08_S3_\x12\xc6\x00\x00", NOT_THERE),
        (b"\x08_S3_\x12\x06\x04\x0a", NOT_THERE),
        (b"", NOT_THERE),
    ],
)
def test_package(library: ctypes.CDLL, aml: bytes, expected: int) -> None:
    sleep = read(library, Tables(aml))
    assert sleep is not None and sleep.type[3] == expected


@pytest.mark.parametrize("tables", [Tables(S3, port=0), Tables(S3, port=0x10604), Tables(S3, length=PM1A_CNT)])
def test_no_port(library: ctypes.CDLL, tables: Tables) -> None:
    assert read(library, tables) is None


@pytest.mark.parametrize(
    ("tables", "port"),
    [
        (Tables(S3), 0),
        (Tables(S3, port_b=0x1804), 0x1804),
        (Tables(S3, port_b=0x11804), 0),
        (Tables(S3, port_b=0x1804, length=PM1A_CNT + 4), 0),
    ],
)
def test_second_port(library: ctypes.CDLL, tables: Tables, port: int) -> None:
    sleep = read(library, tables)
    assert sleep is not None and (sleep.port, sleep.port_b) == (0x604, port)


def test_short_table_has_no_extended_dsdt(library: ctypes.CDLL) -> None:
    sleep = read(library, Tables(S3, length=PM1A_CNT + 4))
    assert sleep is not None and list(sleep.type) == [NOT_THERE] * 6


def test_which_state_a_write_asks_for(library: ctypes.CDLL) -> None:
    sleep = read(library, Tables(S3 + S4 + S5))
    assert sleep is not None
    for value in range(1 << 16):
        expected = {0: 5, 1: 3, 2: 4}.get(value >> 10 & 7, NOT_THERE) if value & SLP_EN else NOT_THERE
        assert library.StmSleepState(ctypes.byref(sleep), value) == expected


@given(st.binary(max_size=64), st.integers(0, 80))
def test_any_aml_is_read_inside_its_bounds(library: ctypes.CDLL, noise: bytes, cut: int) -> None:
    aml = (noise[:8] + S3 + noise[8:] + S4)[:cut]
    sleep = read(library, Tables(aml))
    assert sleep is not None and all(value < 8 or value == NOT_THERE for value in sleep.type)
