# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each member of each descriptor of StmResourceDescriptor.h: what it may hold, and what makes a list malformed.

By the words of the header: a reserved bit is 0, a length is that of the structure, a range is not empty and ends with
its space.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator

import pytest

from tests.host import resource_model as model
from tests.host.conftest import Build
from tests.host.resource_lists import BITS, READER, Limits, Profile, end, header, io, places
from tests.host.resource_model import PAGE
from tests.support import stm_interface

TOP = 1 << BITS
NODE, OTHER_NODE = (1, 1, 6, 0, 3), (1, 1, 6, 1, 4)


def node(values: tuple[int, ...]) -> bytes:
    return struct.pack("<BBHBB", *values)


def pci(attributes: int = 3, base: int = 0, length: int = 4, last: int = 0, *nodes: tuple[int, ...]) -> bytes:
    body = struct.pack("<HHHBB", attributes, base, length, 0, last)
    return header(model.PCI, body + b"".join(map(node, nodes or (NODE,) * (last + 1))))


def put(descriptor: bytes, at: int, form: str, value: int) -> bytes:
    """A descriptor with another value in a member."""
    changed = bytearray(descriptor)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def flipped(descriptor: bytes, at: int, form: str, bits: range) -> Iterator[bytes]:
    """A descriptor with each of these bits set in turn."""
    (value,) = struct.unpack_from(form, descriptor, at)
    for bit in bits:
        yield put(descriptor, at, form, value | 1 << bit)


MEMORY = header(model.MEM, struct.pack("<QQII", 0x5000, PAGE, 7, 0))
MMIO = header(model.MMIO, struct.pack("<QQII", 0x5000, PAGE, 7, 0))
PORTS = io(0x60, 5)
MSR = header(model.MSR, struct.pack("<IIQQ", 0x176, 0, 1, 1))
TRAPPED = header(model.TRAPPED, struct.pack("<HHHH", 0x70, 2, 3, 0))
REGISTER = header(model.REGISTER, struct.pack("<IIQQ", 2, 0, 0, 1))
ALL = header(model.ALL, b"")
EXAMPLES = {
    "STM_RSC_MEM_DESC": MEMORY,
    "STM_RSC_MMIO_DESC": MMIO,
    "STM_RSC_IO_DESC": PORTS,
    "STM_RSC_MSR_DESC": MSR,
    "STM_RSC_PCI_CFG_DESC": pci(),
    "STM_RSC_TRAPPED_IO_DESC": TRAPPED,
    "STM_REGISTER_VIOLATION_DESC": REGISTER,
    "STM_RSC_ALL_RESOURCES_DESC": ALL,
}
# What each member may not hold; the offset is that of the structure.
REFUSED: dict[str, list[bytes]] = {
    "STM_RSC_DESC_HEADER.RscType": [put(one, 0, "<I", kind) for one in (MEMORY, ALL) for kind in (9, 10, 256, 1 << 31)],
    "STM_RSC_DESC_HEADER.Length": [
        put(one, 4, "<H", length) for one in EXAMPLES.values() for length in (*range(65), 0xFFFF) if length != len(one)
    ],
    "STM_RSC_DESC_HEADER.Reserved": [bad for one in EXAMPLES.values() for bad in flipped(one, 6, "<H", range(1, 15))],
    "STM_RSC_DESC_HEADER.ReturnStatus": [put(one, 6, "<H", 1) for one in EXAMPLES.values()],
    "STM_RSC_MEM_DESC.Base": [put(MEMORY, 8, "<Q", base) for base in (TOP - PAGE + 1, TOP, 1 << 63, 2**64 - PAGE)],
    "STM_RSC_MEM_DESC.Length": [put(MEMORY, 16, "<Q", length) for length in (0, TOP, TOP - 0x4FFF, 1 << 63, 2**64 - 1)],
    "STM_RSC_MEM_DESC.Reserved": [*flipped(MEMORY, 24, "<I", range(3, 32))],
    "STM_RSC_MEM_DESC.Reserved_2": [*flipped(MEMORY, 28, "<I", range(32))],
    "STM_RSC_MMIO_DESC.Base": [put(MMIO, 8, "<Q", base) for base in (TOP - PAGE + 1, TOP, 1 << 63, 2**64 - PAGE)],
    "STM_RSC_MMIO_DESC.Length": [put(MMIO, 16, "<Q", length) for length in (0, TOP, TOP - 0x4FFF, 1 << 63, 2**64 - 1)],
    "STM_RSC_MMIO_DESC.Reserved": [*flipped(MMIO, 24, "<I", range(3, 32))],
    "STM_RSC_MMIO_DESC.Reserved_2": [*flipped(MMIO, 28, "<I", range(32))],
    "STM_RSC_IO_DESC.Base": [put(PORTS, 8, "<H", 0xFFFC)],
    "STM_RSC_IO_DESC.Length": [put(PORTS, 10, "<H", length) for length in (0, 0xFFA1, 0xFFFF)],
    "STM_RSC_IO_DESC.Reserved": [*flipped(PORTS, 12, "<I", range(32))],
    "STM_RSC_MSR_DESC.Reserved": [*flipped(MSR, 12, "<I", range(1, 32))],
    "STM_RSC_PCI_CFG_DESC.Reserved": [*flipped(pci(), 8, "<H", range(2, 16))],
    "STM_RSC_PCI_CFG_DESC.Base": [pci(base=base) for base in (0xFFD, 0x1000, 0xFFFF)],
    "STM_RSC_PCI_CFG_DESC.Length": [pci(length=length) for length in (0, 0x1001, 0xFFFF)],
    "STM_RSC_PCI_CFG_DESC.LastNodeIndex": [put(pci(), 15, "<B", last) for last in (1, 2, 255)],
    "STM_RSC_TRAPPED_IO_DESC.Base": [put(TRAPPED, 8, "<H", 0xFFFF)],
    "STM_RSC_TRAPPED_IO_DESC.Length": [put(TRAPPED, 10, "<H", length) for length in (0, 0xFF91, 0xFFFF)],
    "STM_RSC_TRAPPED_IO_DESC.Reserved1": [*flipped(TRAPPED, 12, "<H", range(3, 16))],
    "STM_RSC_TRAPPED_IO_DESC.Reserved2": [*flipped(TRAPPED, 14, "<H", range(16))],
    "STM_REGISTER_VIOLATION_DESC.RegisterType": [put(REGISTER, 8, "<I", kind) for kind in (5, 6, 1 << 31)],
    "STM_REGISTER_VIOLATION_DESC.Reserved": [*flipped(REGISTER, 12, "<I", range(32))],
}
# Each member of a node, of the first one and of one behind it.
for _place, (_member, _values) in enumerate(
    (("Type", (0, 2, 255)), ("Subtype", (0, 2, 255)), ("Length", (0, 5, 7)), ("PciFunction", (8, 255)),
     ("PciDevice", (32, 255)))
):  # fmt: skip
    REFUSED[f"STM_PCI_DEVICE_PATH_NODE.{_member}"] = [
        pci(3, 0, 4, 1, *nodes)
        for value in _values
        for bad in [(*NODE[:_place], value, *NODE[_place + 1 :])]
        for nodes in ((bad, OTHER_NODE), (OTHER_NODE, bad))
    ]
# What each member may hold up to its last value.
TAKEN: dict[str, list[bytes]] = {
    "STM_RSC_MEM_DESC.Base": [put(MEMORY, 8, "<Q", base) for base in (0, 1, PAGE - 1, TOP - PAGE)],
    "STM_RSC_MEM_DESC.Length": [put(MEMORY, 16, "<Q", length) for length in (1, PAGE + 1, 0x1000_0000)],
    "STM_RSC_MEM_DESC.RWXAttributes": [put(MEMORY, 24, "<I", access) for access in range(8)],
    "STM_RSC_MMIO_DESC.RWXAttributes": [put(MMIO, 24, "<I", access) for access in range(8)],
    "STM_RSC_IO_DESC.Base": [io(0, 1), io(0xFFFF, 1), io(0xFFFB, 5)],
    "STM_RSC_IO_DESC.Length": [io(0x80F1, 0x7F0F)],
    "STM_RSC_MSR_DESC.MsrIndex": [put(MSR, 8, "<I", index) for index in (0, 0x2000, 0xC000_0080, 0xFFFF_FFFF)],
    "STM_RSC_MSR_DESC.KernelModeProcessing": [put(MSR, 12, "<I", 1)],
    "STM_RSC_MSR_DESC.ReadMask": [put(MSR, 16, "<Q", mask) for mask in (0, 1 << 63, 2**64 - 1)],
    "STM_RSC_MSR_DESC.WriteMask": [put(MSR, 24, "<Q", mask) for mask in (0, 1 << 63, 2**64 - 1)],
    "STM_RSC_PCI_CFG_DESC.RWAttributes": [pci(attributes) for attributes in range(4)],
    "STM_RSC_PCI_CFG_DESC.Base": [pci(base=0xFFC)],
    "STM_RSC_PCI_CFG_DESC.Length": [pci(length=0x1000), pci(length=1)],
    "STM_RSC_PCI_CFG_DESC.OriginatingBusNumber": [put(pci(), 14, "<B", bus) for bus in (0, 255)],
    "STM_PCI_DEVICE_PATH_NODE.PciDevice": [pci(3, 0, 4, 0, (1, 1, 6, 7, 31))],
    "STM_RSC_TRAPPED_IO_DESC.In": [put(TRAPPED, 12, "<H", flags) for flags in range(8)],
    "STM_REGISTER_VIOLATION_DESC.RegisterType": [put(REGISTER, 8, "<I", kind) for kind in (0, 2, 3, 4)],
    "STM_REGISTER_VIOLATION_DESC.WriteMask": [put(REGISTER, 24, "<Q", mask) for mask in (0, 1 << 63, 2**64 - 1)],
}


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    lists = [f"StmPkg/Library/StmResourceLib/{name}" for name in ("Resource.c", "BiosList.c")]
    protection = [f"StmPkg/Stm/Protect/{name}" for name in ("Claim.c", "Profile.c", "List.c", "PciPath.c")]
    library = build_library("descriptors", "tests/host/resource_stub.c", *lists, *protection)
    library.StmProfileApply.restype = ctypes.c_uint32
    return library


def call(
    library: ctypes.CDLL, page: bytes, protect: bool, profile: Profile | None = None
) -> tuple[int, bytes, Profile]:
    """Status, the page afterwards, and what is protected then."""
    limits = Limits(BITS, 0, 0x1F80_0000, 0x2000_0000, 0x1FE0_0000, 0x2000_0000, None, 0, 0, READER, None)
    profile = Profile() if profile is None else Profile.from_buffer_copy(profile)
    text = ctypes.create_string_buffer(page.ljust(PAGE, b"\0"), PAGE)
    status = library.StmProfileApply(ctypes.byref(profile), ctypes.byref(limits), text, ctypes.c_ubyte(protect))
    return status, text.raw, profile


def test_every_member_is_here() -> None:
    """But for members of which any value will do, or which a test of their own has."""
    kinds = {*EXAMPLES, "STM_RSC_DESC_HEADER", "STM_PCI_DEVICE_PATH_NODE"}
    named = {f"{kind}.{member}" for kind in kinds for member in stm_interface.members()[kind]}
    elsewhere = {f"{kind}.Hdr" for kind in kinds} | {
        "STM_RSC_DESC_HEADER.IgnoreResource",
        "STM_RSC_PCI_CFG_DESC.PciDevicePath",
        "STM_RSC_TRAPPED_IO_DESC.Out",
        "STM_RSC_TRAPPED_IO_DESC.Api",
        "STM_REGISTER_VIOLATION_DESC.ReadMask",
    }
    assert named - elsewhere == set(REFUSED) | set(TAKEN)


@pytest.mark.parametrize("protect", [True, False], ids=["protect", "unprotect"])
@pytest.mark.parametrize("member", sorted(REFUSED))
def test_malformed_member(library: ctypes.CDLL, member: str, protect: bool) -> None:
    """In the midst of a list: nothing of the list is granted, and no byte but ReturnStatus of what stands before it."""
    assert REFUSED[member], member
    for bad in REFUSED[member]:
        page = (PORTS + bad + io(0x80, 1) + end()).ljust(PAGE, b"\0")
        status, after, _ = call(library, page, protect)
        assert hex(status) == hex(model.MALFORMED), bad.hex()
        expected = bytearray(page)
        if member == "STM_RSC_DESC_HEADER.ReturnStatus":
            expected[len(PORTS) + 6] &= 0xFE
        assert after == bytes(expected), bad.hex()


@pytest.mark.parametrize("member", sorted(TAKEN))
def test_values_that_are_taken(library: ctypes.CDLL, member: str) -> None:
    for good in TAKEN[member]:
        status, after, _ = call(library, good + end(), True)
        assert (hex(status), after[6] & 1) == ("0x0", 1), good.hex()
        assert hex(call(library, good + end(), False)[0]) == "0x0", good.hex()


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_each_descriptor_is_granted_and_given_back(library: ctypes.CDLL, kind: str) -> None:
    """ReturnStatus is set for each that is granted, and for each that is given back; nothing stays protected."""
    page = EXAMPLES[kind] + end()
    status, after, profile = call(library, page, True)
    assert (status, after[6]) == (model.SUCCESS, 1) and profile.count > 0
    status, after, profile = call(library, page, False, profile)
    assert (status, after[6], profile.count) == (model.SUCCESS, 1, 0)


@pytest.mark.parametrize("protect", [True, False], ids=["protect", "unprotect"])
@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_ignored_resource(library: ctypes.CDLL, kind: str, protect: bool) -> None:
    """Nothing happens, and that is no error; what is malformed is so all the same."""
    ignored = put(EXAMPLES[kind], 6, "<H", 1 << 15)
    _, _, before = call(library, EXAMPLES[kind] + end(), True)
    status, after, profile = call(library, ignored + end(), protect, None if protect else before)
    assert (status, after[6] & 1) == (model.SUCCESS, 0)
    assert (profile.count == 0) if protect else (bytes(profile) == bytes(before))
    assert call(library, put(ignored, 4, "<H", len(ignored) + 1) + end(), protect)[0] == model.MALFORMED


@pytest.mark.parametrize("protect", [True, False], ids=["protect", "unprotect"])
def test_end_of_a_list(library: ctypes.CDLL, protect: bool) -> None:
    """It names no other page, none of its bits is set, and the whole of it is in the page."""
    assert call(library, end(), protect)[0] == model.SUCCESS
    bad = [end(1 << bit) for bit in range(64)]
    bad += [*flipped(end(), 6, "<H", range(15))]
    bad += [put(end(), 4, "<H", length) for length in (0, 8, 15, 17, 32)]
    for each in bad:
        assert hex(call(library, PORTS + each, protect)[0]) == hex(model.MALFORMED), each.hex()
    full = ALL * ((PAGE - 16) // 8)
    assert call(library, full + end(), False)[0] == model.SUCCESS
    assert hex(call(library, full + ALL + end()[:8], protect)[0]) == hex(model.MALFORMED)
    assert hex(call(library, full + ALL * 2, protect)[0]) == hex(model.MALFORMED)


def test_a_failed_call_protects_nothing(library: ctypes.CDLL) -> None:
    """The good descriptors of a malformed list are not protected either: the caller's profile is the one before."""
    _, _, before = call(library, MEMORY + end(), True)
    status, _, after = call(library, PORTS + put(MSR, 12, "<I", 2) + end(), True, before)
    assert hex(status) == hex(model.MALFORMED)
    watched = {"memory": [4, 5, 6], "io": [0x60], "msr": [64 * 0x176], "pci": [], "register": []}
    assert places(after, watched) == places(before, watched) == {("memory", 5, access) for access in (1, 2, 4)}
