# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware's decision about the dual-monitor treatment, over all combinations of facts."""

from __future__ import annotations

import ctypes
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.conftest import Build

REASONS = [
    "none",
    "no-vmx",
    "vmx-locked-out",
    "no-dual-monitor",
    "mseg-revision",
    "no-mseg",
    "mseg-placement",
    "image-missing",
    "image-malformed",
    "image-too-large",
    "override-forbidden",
    "mseg-reachable",
    "image-modified",
]
SOURCES = ["none", "firmware-volume", "fw-cfg"]
REFUSED = {
    "mseg-revision",
    "image-missing",
    "image-malformed",
    "image-too-large",
    "override-forbidden",
    "image-modified",
}
LOCK, VMX_OUTSIDE_SMX, DUAL_MONITOR = 1 << 0, 1 << 2, 1 << 49
REVISION = 1
VMCS_4K = 0x1000 << 32
PAGE = 0x1000
TABLES_AND_LOADER_PAGE = 7 * PAGE


class ProcessorFacts(ctypes.Structure):
    _fields_ = [
        ("vmx", ctypes.c_uint8),
        ("feature_control", ctypes.c_uint64),
        ("vmx_basic", ctypes.c_uint64),
        ("vmx_misc", ctypes.c_uint64),
    ]


class MemoryFacts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("mseg_base", "mseg_size", "tseg_base", "tseg_size")]


GOOD = ProcessorFacts(1, LOCK | VMX_OUTSIDE_SMX, DUAL_MONITOR | VMCS_4K, REVISION << 32)


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    folder = "StmPkg/Firmware/StmStatusLib"
    loaded = build_library("status", f"{folder}/StmStatus.c", f"{folder}/StmImageCheck.c")
    for name in ("StmStateName", "StmReasonName", "StmSourceName"):
        getattr(loaded, name).restype = ctypes.c_char_p
    return loaded


def reason(library: ctypes.CDLL, number: int) -> str:
    return str(library.StmReasonName(number).decode())


def test_names_and_states(library: ctypes.CDLL) -> None:
    for number, name in enumerate(REASONS):
        assert reason(library, number) == name
        state = library.StmStateName(library.StmStateOf(number)).decode()
        assert state == ("enabled" if name == "none" else "refused" if name in REFUSED else "unavailable")
    assert reason(library, len(REASONS)) == "?"
    assert [library.StmSourceName(number).decode() for number in range(4)] == [*SOURCES, "?"]


@pytest.mark.parametrize(("vmx", "control", "dual"), list(itertools.product((0, 1), range(8), (0, 1))))
def test_processor(library: ctypes.CDLL, vmx: int, control: int, dual: int) -> None:
    facts = ProcessorFacts(vmx, control, DUAL_MONITOR * dual | VMCS_4K, REVISION << 32)
    allowed = control & LOCK and control & VMX_OUTSIDE_SMX
    expected = "no-vmx" if not vmx else "vmx-locked-out" if not allowed else "none" if dual else "no-dual-monitor"
    assert reason(library, library.StmCheckProcessor(ctypes.byref(facts))) == expected


@pytest.mark.parametrize(
    ("base", "size", "expected"),
    [
        (0x1FE00000, 0x200000, "none"),
        (0x1F000000, 0x1000000, "none"),
        (0x1FE00000, 0, "no-mseg"),
        (0x1FE00800, 0x100000, "mseg-placement"),
        (0x1FF00000, 0x200000, "mseg-placement"),
        (0x1EE00000, 0x200000, "mseg-placement"),
        (0x11FE00000, 0x200000, "mseg-placement"),
        (0xFFFFF000, 0x200000, "mseg-placement"),
    ],
)
def test_memory(library: ctypes.CDLL, base: int, size: int, expected: str) -> None:
    facts = MemoryFacts(base, size, 0x1F000000, 0x1000000)
    assert reason(library, library.StmCheckMemory(ctypes.byref(facts))) == expected


def image(pages: int = 2, relocations: tuple[int, ...] = (0, 8)) -> bytearray:
    """A minimal sound image: header page, text pages, relocation table."""
    static = (1 + pages) * PAGE
    result = bytearray(static)
    struct.pack_into("<8I", result, 0, REVISION, 1, 0x47, 0xC00, 0x38, 0x1000, 0, static)
    struct.pack_into("<BBHIIIII", result, 0x800, 1, 0, 0, static, 0x2000, 0x10000, 3, 1)
    struct.pack_into("<I", result, 0x818, 0x20064)
    lab = (b"STMLABHD", 1, 56, 0x1000, pages * PAGE, 0x1000, pages * PAGE, 0, 0, 0, static, len(relocations))
    struct.pack_into("<8s8IQII", result, 0xA00, *lab)
    for offset in relocations:
        result += struct.pack("<I", offset)
    return result


def check(
    library: ctypes.CDLL, data: bytes | bytearray, cpus: int = 1, mseg: int = 0x200000, facts: ProcessorFacts = GOOD
) -> tuple[str, int]:
    needed = ctypes.c_uint64()
    # An exact-size buffer, so that a sanitizer or a guard page would see a read past it.
    buffer = (ctypes.c_char * len(data)).from_buffer_copy(data)
    number = library.StmCheckImage(
        buffer, ctypes.c_uint64(len(data)), ctypes.byref(facts), cpus, ctypes.c_uint64(mseg), ctypes.byref(needed)
    )
    return reason(library, number), needed.value


@pytest.mark.parametrize("cpus", [1, 2, 17])
def test_image_and_its_size(library: ctypes.CDLL, cpus: int) -> None:
    needed = 3 * PAGE + 0x10000 + (0x2000 + 2 * PAGE) * cpus
    assert check(library, image(), cpus) == ("none", needed)
    assert check(library, image(), cpus, mseg=needed) == ("none", needed)
    assert check(library, image(), cpus, mseg=needed - 1) == ("image-too-large", needed)


@pytest.mark.parametrize("mseg", [0x10000, 0x17000, 0x1B000, 0x20000, 0x20001, 0x200000, 0xFFFF_F000])
def test_processors_that_fit(library: ctypes.CDLL, mseg: int) -> None:
    """As many as the check of the image accepts, and not one more."""
    data = image()
    buffer = (ctypes.c_char * len(data)).from_buffer_copy(data)
    size = ctypes.c_uint64(len(data))
    number = library.StmProcessorsThatFit(buffer, size, ctypes.byref(GOOD), ctypes.c_uint64(mseg))
    assert number == max(0, (mseg - 3 * PAGE - 0x10000) // (0x2000 + 2 * PAGE))
    assert number == 0 or check(library, data, number, mseg)[0] == "none"
    assert check(library, data, number + 1, mseg)[0] == "image-too-large"


def test_no_processor_without_room_for_the_file(library: ctypes.CDLL) -> None:
    data = image() + bytes(0x30000)
    buffer = (ctypes.c_char * len(data)).from_buffer_copy(data)
    size = ctypes.c_uint64(len(data))
    assert library.StmProcessorsThatFit(buffer, size, ctypes.byref(GOOD), ctypes.c_uint64(0x20000)) == 0


def test_the_loaders_own_pages_count(library: ctypes.CDLL) -> None:
    data = image()
    struct.pack_into("<II", data, 0x808, 0, 0)
    facts = ProcessorFacts(1, LOCK | VMX_OUTSIDE_SMX, DUAL_MONITOR, REVISION << 32)
    assert check(library, data, facts=facts) == ("none", 3 * PAGE + TABLES_AND_LOADER_PAGE)


def test_revision(library: ctypes.CDLL) -> None:
    data = image()
    struct.pack_into("<I", data, 0, REVISION + 1)
    assert check(library, data)[0] == "mseg-revision"


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0x004, 0),  # not IA-32e mode
        (0x004, 3),  # reserved feature bit
        (0x008, 0x3F),  # GDT limit
        (0x00C, 0x1000),  # GDT offset
        (0x010, 0x10),  # CS
        (0x014, 0xFFF),  # EIP before the text
        (0x014, 0x3000),  # EIP behind the text
        (0x01C, 0x4000),  # CR3
        (0x800, 0x0002),  # version
        (0x804, 0x2000),  # static size
        (0x814, 0),  # number of revisions
        (0x818, 0x80010100),  # save-state map
        (0xA00, 0),  # signature
        (0xA08, 2),  # version
        (0xA0C, 8),  # header size
        (0xA10, 0x2000),  # image offset
        (0xA14, 0),  # image size
        (0xA14, 0x1800),  # image size not in pages
        (0xA14, 0xFFFFF000),  # image size beyond the file
        (0xA18, 0x800),  # text before the image
        (0xA1C, 0x3000),  # text beyond the image
        (0xA24, 0x1000),  # read-only data before the image
        (0xA30, 0x1000),  # relocation table inside the image
        (0xA30, 0xFFFFFFFC),  # relocation table beyond the file
        (0xA34, 3),  # one relocation too many
        (0xA34, 0xFFFFFFFF),  # table size overflows 32 bits
    ],
)
def test_malformed(library: ctypes.CDLL, offset: int, value: int) -> None:
    data = image()
    struct.pack_into("<I", data, offset, value)
    assert check(library, data) == ("image-malformed", 0)


@pytest.mark.parametrize("relocation", [0x1FF9, 0x2000, 0xFFFFFFFF])
def test_relocation_outside_the_image(library: ctypes.CDLL, relocation: int) -> None:
    assert check(library, image(relocations=(0, relocation)))[0] == "image-malformed"
    assert check(library, image(relocations=(0, 0x1FF8)))[0] == "none"


@given(st.binary(max_size=0x40), st.integers(min_value=0, max_value=0xA40), st.integers(min_value=0, max_value=0x3100))
def test_any_damage_ends_in_a_reason(library: ctypes.CDLL, noise: bytes, where: int, size: int) -> None:
    data = image()
    data[where : where + len(noise)] = noise
    assert check(library, bytes(data[:size]))[0] in REASONS
