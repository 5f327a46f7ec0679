# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The tools' IDT: a copy of the one in force, whose fault gates are ours only while something is tried."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from tests.host.conftest import Build

CAUGHT = {6, 7, 11, 12, 13, 14, 17}
SELECTOR = 0x38
INTERRUPT_GATE = 0x8E
GATE = 16


class Idtr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("limit", ctypes.c_uint16), ("base", ctypes.c_uint64)]


class Context(ctypes.Structure):
    _fields_ = [
        ("fault", ctypes.c_uint64),
        ("entered", ctypes.c_uint64),
        ("finished", ctypes.c_uint64),
        ("gates", ctypes.c_uint8 * (256 * GATE)),
    ]


class Firmware:
    """A firmware's IDT in the host's memory, and the IDTR."""

    def __init__(self, library: ctypes.CDLL, entries: int) -> None:
        self.content = bytes((index * 7 + 1) % 251 for index in range(entries * GATE))
        self.memory = ctypes.create_string_buffer(self.content, len(self.content))
        self.idtr = Idtr.in_dll(library, "TestIdtr")
        self.idtr.base = ctypes.addressof(self.memory)
        self.idtr.limit = len(self.content) - 1

    def loaded(self) -> bytes:
        """The IDT in force."""
        return ctypes.string_at(self.idtr.base, self.idtr.limit + 1)

    @property
    def own(self) -> bool:
        """Whether the IDT in force is the firmware's."""
        return bool(self.idtr.base == ctypes.addressof(self.memory))


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library(
        "try", "tests/host/try_stub.c", "StmPkg/Library/StmTryLib/Caught.c", "StmPkg/Library/StmTryLib/StmTryLib.c"
    )


@pytest.fixture(params=[256, 32, 300])
def firmware(library: ctypes.CDLL, request: pytest.FixtureRequest) -> Iterator[Firmware]:
    found = Firmware(library, request.param)
    library.StmIdtLoad()
    yield found
    library.StmIdtRestore()
    assert found.own and found.idtr.limit == len(found.content) - 1
    assert found.memory.raw == found.content, "the firmware's own table is not written"


def gate(table: bytes, vector: int) -> bytes:
    return table[vector * GATE : (vector + 1) * GATE]


def target(entry: bytes) -> int:
    """The address of an interrupt gate of ours."""
    assert int.from_bytes(entry[2:4], "little") == SELECTOR
    assert entry[4] == 0 and entry[5] == INTERRUPT_GATE and entry[12:] == bytes(4)
    return int.from_bytes(entry[0:2] + entry[6:12], "little")


def test_a_copy_is_in_force(firmware: Firmware) -> None:
    assert not firmware.own
    table = firmware.loaded()
    assert len(table) == 256 * GATE
    known = firmware.content[: 256 * GATE]
    assert table == known + bytes(256 * GATE - len(known))


def test_a_gate_of_ones_own(library: ctypes.CDLL, firmware: Firmware) -> None:
    before = firmware.loaded()
    library.StmIdtSetGate(0xE0, ctypes.c_void_p(0x123456789ABCDEF0))
    table = firmware.loaded()
    assert target(gate(table, 0xE0)) == 0x123456789ABCDEF0
    assert [vector for vector in range(256) if gate(table, vector) != gate(before, vector)] == [0xE0]


@pytest.mark.parametrize("fault", [0, 6, 13, 14])
def test_faults_are_ours_during_a_try_only(library: ctypes.CDLL, firmware: Firmware, fault: int) -> None:
    entries = ctypes.addressof((ctypes.c_uint8 * 512).in_dll(library, "AsmTryEntries"))
    before = firmware.loaded()
    context = Context(fault)
    assert library.TestTry(ctypes.byref(context)) == fault
    assert (context.entered, context.finished) == (1, 0 if fault else 1)
    during = bytes(context.gates)
    changed = {vector for vector in range(256) if gate(during, vector) != gate(before, vector)}
    assert changed == CAUGHT
    for vector in CAUGHT:
        assert target(gate(during, vector)) == entries + vector * GATE
    assert firmware.loaded() == before
