# SPDX-License-Identifier: BSD-2-Clause-Patent
"""ECAM by ACPI's tables: tables made here, sound and garbled, against a second reader of them in Python."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

ABSENT, FOUND, MALFORMED, SEGMENTS = range(4)
READ = ctypes.CFUNCTYPE(ctypes.c_ubyte, ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64))
PAGE, MB = 0x1000, 1 << 20
RSDP, ROOT, TABLES = 0x7E_F014, 0x7F_0123, 0x7F_2001
MEMORY = range(0, 0x100_0000)
SMRAM = range(0x80_0000, 0x90_0000)
Q35 = (0xE000_0000, 0, 0, 255)
Read = Callable[[int | None, int, "ctypes._Pointer[ctypes.c_uint64]"], int]
Allocation = tuple[int, int, int, int]
"""Base, segment, first and last bus."""


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    return build_library("mcfg", "tests/host/mcfg_stub.c", "StmPkg/Stm/Protect/Mcfg.c")


def summed(data: bytes, place: int, size: int | None = None) -> bytes:
    """With the byte at `place` such that the first `size` bytes sum up to 0."""
    result = bytearray(data)
    result[place] = 0
    result[place] = -sum(result[:size]) & 0xFF
    return bytes(result)


def table(signature: bytes, body: bytes) -> bytes:
    head = struct.pack("<4sIBB6s8sIII", signature, 36 + len(body), 1, 0, b"LAB", b"LAB", 1, 0, 0)
    return summed(head + body, 9)


def mcfg(*allocations: Allocation) -> bytes:
    return table(b"MCFG", bytes(8) + b"".join(struct.pack("<QHBBI", *one, 0) for one in allocations))


def root_pointer(rsdt: int, xsdt: int, revision: int = 2) -> bytes:
    old = summed(struct.pack("<8sB6sBI", b"RSD PTR ", 0, b"LAB", revision, rsdt), 8)
    return summed(old + struct.pack("<IQB3s", 36, xsdt, 0, b""), 32) if revision >= 2 else old


@dataclass
class Memory:
    """Physical memory, and where it was read."""

    content: dict[int, int] = field(default_factory=dict)
    reads: list[int] = field(default_factory=list)

    def put(self, address: int, data: bytes) -> None:
        self.content |= dict(zip(range(address, address + len(data)), data, strict=False))

    def bytes(self, address: int, size: int) -> bytes | None:
        """None if a byte of them is not to be read."""
        places = range(address, address + size)
        if any(place not in MEMORY or place in SMRAM for place in places):
            return None
        return bytes(self.content.get(place, 0) for place in places)

    def read(self, _context: int | None, address: int, value: ctypes._Pointer[ctypes.c_uint64]) -> int:
        assert address % 8 == 0
        self.reads.append(address)
        found = self.bytes(address, 8)
        if found is None:
            return 0
        value[0] = int.from_bytes(found, "little")
        return 1


def acpi(*tables: bytes, xsdt: bool = True, revision: int = 2, start: int = 0) -> Memory:
    """Root pointer, table of tables, and tables one behind the other at odd addresses, all moved by `start`."""
    memory = Memory()
    entries, place = [], TABLES + start
    for one in tables:
        memory.put(place, one)
        entries.append(place)
        place += len(one) + 3
    code, name = ("Q", b"XSDT") if xsdt else ("I", b"RSDT")
    root = ROOT + start
    memory.put(root, table(name, struct.pack(f"<{len(entries)}{code}", *entries)))
    memory.put(RSDP + start, root_pointer(0 if xsdt else root, root if xsdt else 0, revision))
    return memory


def find(library: ctypes.CDLL, memory: Memory, rsdp: int = RSDP, read: Read | None = None) -> tuple[int, int, int]:
    base, size = ctypes.c_uint64(), ctypes.c_uint64()
    buffer = (ctypes.c_ubyte * (2 * PAGE))()
    found = library.StmFindMcfg(
        READ(read or memory.read), None, ctypes.c_uint64(rsdp), buffer, ctypes.byref(base), ctypes.byref(size)
    )
    return found, base.value, size.value


def copied_table(memory: Memory, address: int, signature: bytes) -> bytes | None:
    head = memory.bytes(address, 36)
    if head is None or head[:4] != signature:
        return None
    length = int.from_bytes(head[4:8], "little")
    whole = memory.bytes(address, length) if 36 <= length <= PAGE else None
    return whole if whole is not None and sum(whole) % 256 == 0 else None


def reference(memory: Memory, rsdp: int = RSDP) -> tuple[int, int, int] | int:
    """The same, in the words of the specifications."""
    old = memory.bytes(rsdp, 20)
    if old is None or old[:8] != b"RSD PTR " or sum(old) % 256:
        return MALFORMED
    root, code, name = int.from_bytes(old[16:20], "little"), "I", b"RSDT"
    if old[15] >= 2:
        new = memory.bytes(rsdp, 36)
        if new is None or int.from_bytes(new[20:24], "little") != 36 or sum(new) % 256:
            return MALFORMED
        if xsdt := int.from_bytes(new[24:32], "little"):
            root, code, name = xsdt, "Q", b"XSDT"
    tables = copied_table(memory, root, name)
    if tables is None or (len(tables) - 36) % struct.calcsize(code):
        return MALFORMED
    answer: tuple[int, int, int] | int = ABSENT
    segments = False
    for (entry,) in struct.iter_unpack(f"<{code}", tables[36:]):
        if memory.bytes(entry, 4) != b"MCFG":
            continue
        one = copied_table(memory, entry, b"MCFG")
        if one is None or answer != ABSENT or len(one) < 44 or (len(one) - 44) % 16:
            return MALFORMED
        for base, segment, first, last, _ in struct.iter_unpack("<QHBBI", one[44:]):
            if segment == 0:
                if answer != ABSENT or first or base % MB:
                    return MALFORMED
                answer = (FOUND, base, (last + 1) * MB)
            segments |= segment != 0
        if answer == ABSENT and segments:
            answer = SEGMENTS
    return SEGMENTS if segments else answer


@pytest.mark.parametrize(("xsdt", "revision"), [(True, 2), (False, 2), (False, 0)], ids=["xsdt", "rsdt", "acpi-1.0"])
def test_found(library: ctypes.CDLL, xsdt: bool, revision: int) -> None:
    memory = acpi(table(b"FACP", bytes(200)), mcfg(Q35), table(b"APIC", bytes(9)), xsdt=xsdt, revision=revision)
    assert find(library, memory) == (FOUND, 0xE000_0000, 256 * MB)


def test_no_acpi(library: ctypes.CDLL) -> None:
    memory = acpi(mcfg(Q35))
    assert find(library, memory, 0)[0] == ABSENT
    assert memory.reads == []
    assert find(library, acpi(table(b"FACP", bytes(20))))[0] == ABSENT
    assert find(library, acpi())[0] == ABSENT


def test_other_segments_are_told(library: ctypes.CDLL) -> None:
    """A list of resources cannot name them. That the table contradicts itself is told first."""
    second = (0x8_0000_0000, 1, 4, 255)
    for some in ((second,), (second, Q35), (Q35, second), (Q35, second, second)):
        assert find(library, acpi(mcfg(*some)))[0] == SEGMENTS
    assert find(library, acpi(mcfg(Q35, second, Q35)))[0] == MALFORMED
    assert find(library, acpi(mcfg(second), mcfg(Q35)))[0] == MALFORMED


@pytest.mark.parametrize(
    "allocations",
    [(Q35, Q35), ((0xE000_0000, 0, 1, 255),), ((0xE000_1000, 0, 0, 255),)],
    ids=["twice", "not-bus-0", "between-buses"],
)
def test_contradictions(library: ctypes.CDLL, allocations: tuple[Allocation, ...]) -> None:
    assert find(library, acpi(mcfg(*allocations)))[0] == MALFORMED


def test_two_tables(library: ctypes.CDLL) -> None:
    assert find(library, acpi(mcfg(Q35), mcfg(Q35)))[0] == MALFORMED


@pytest.mark.parametrize("place", [SMRAM.start + 0x100, SMRAM.start - 8, MEMORY.stop - 8, MEMORY.stop, 2**64 - 8])
@pytest.mark.parametrize("what", ["root-pointer", "table-of-tables", "table"])
def test_not_in_smram(library: ctypes.CDLL, what: str, place: int) -> None:
    """Nothing is read there, whatever the table that refers to it says; another table may be anywhere."""
    memory = acpi(mcfg(Q35))
    if what == "root-pointer":
        memory.put(place, root_pointer(0, ROOT))
        assert find(library, memory, place)[0] == MALFORMED
    elif what == "table-of-tables":
        memory.put(place, table(b"XSDT", struct.pack("<Q", TABLES)))
        memory.put(RSDP, root_pointer(0, place))
        assert find(library, memory)[0] == MALFORMED
    else:
        memory.put(ROOT, table(b"XSDT", struct.pack("<2Q", place, TABLES)))
        assert find(library, memory) == (FOUND, 0xE000_0000, 256 * MB)


@pytest.mark.parametrize("length", [0, 35, 4097, 2**32 - 1])
def test_lengths(library: ctypes.CDLL, length: int) -> None:
    """Of no table more than a page is read."""
    for place in (ROOT, TABLES):
        memory = acpi(mcfg(Q35))
        memory.put(place + 4, struct.pack("<I", length))
        assert find(library, memory)[0] == MALFORMED
        assert len(memory.reads) < 3 * PAGE // 8


def test_as_long_as_a_page(library: ctypes.CDLL) -> None:
    """With what contradicts it in the last entry that fits."""
    many = [(0x10_0000_0000 + n * 256 * MB, n + 1, 0, 255) for n in range(251)]
    data = mcfg(*many, Q35, Q35)
    assert len(data) == 36 + 8 + 16 * 253 <= PAGE
    assert find(library, acpi(data))[0] == MALFORMED
    assert find(library, acpi(mcfg(*many, Q35)))[0] == SEGMENTS
    assert find(library, acpi(mcfg(*many, Q35, Q35, Q35)))[0] == MALFORMED


allocations = st.tuples(
    st.one_of(st.sampled_from((0xE000_0000, 0xB000_0000, 0xE000_0800)), st.integers(0, 2**64 - 1)),
    st.sampled_from((0, 0, 0, 1, 0xFFFF)),
    st.sampled_from((0, 0, 0, 0, 1, 255)),
    st.integers(0, 255),
)
others = st.builds(table, st.sampled_from((b"FACP", b"APIC", b"MCFh")), st.binary(max_size=40))
mcfgs = st.lists(allocations, max_size=3).map(lambda made: mcfg(*made))


@given(st.lists(st.one_of(others, mcfgs), max_size=5), st.booleans(), st.data())
def test_as_the_reference(library: ctypes.CDLL, tables: list[bytes], xsdt: bool, data: st.DataObject) -> None:
    """Sound tables, then with bytes changed, some of them with a right sum: both readers say the same."""
    memory = acpi(*tables, xsdt=xsdt, revision=data.draw(st.sampled_from((0, 2, 2, 2, 3))) if not xsdt else 2)
    places = sorted(memory.content)
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.sampled_from(places))
        old = memory.content[place]
        memory.content[place] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()) and place + 1 in memory.content:
            memory.content[place + 1] = memory.content[place + 1] + old - memory.content[place] & 0xFF
    found, base, size = find(library, memory)
    wanted = reference(memory)
    assert found == (wanted if isinstance(wanted, int) else FOUND)
    if not isinstance(wanted, int):
        assert (base, size) == wanted[1:]


@given(st.lists(st.one_of(others, mcfgs), max_size=5), st.integers(0, 2**32 - 1))
def test_tables_that_change_meanwhile(library: ctypes.CDLL, tables: list[bytes], seed: int) -> None:
    """Whatever other processors write there while it reads, the answer is one of the four, and no read goes astray."""
    memory, chance = acpi(*tables), random.Random(seed)

    def read(context: int | None, address: int, value: ctypes._Pointer[ctypes.c_uint64]) -> int:
        done = memory.read(context, address, value)
        if done and chance.random() < 0.2:
            value[0] ^= 1 << chance.randrange(64)
        return done

    found, base, size = find(library, memory, read=read)
    assert found in (ABSENT, FOUND, MALFORMED, SEGMENTS)
    if found == FOUND:
        assert base % MB == 0 and MB <= size <= 256 * MB and size % MB == 0
