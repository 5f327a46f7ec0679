# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The loader's check of an image: images of ours, images of others, and ``inspect``'s opinion of each."""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_scripts.stm_image.problems import find_problems
from tests.host.conftest import Build
from tests.host.test_status import (
    DUAL_MONITOR,
    LOCK,
    REASONS,
    REVISION,
    VMCS_4K,
    VMX_OUTSIDE_SMX,
    ProcessorFacts,
    reason,
)

PAGE = 0x1000
MSEG = 0x200000
TABLES = 6 * PAGE
TABLES_AND_LOADER_PAGE = TABLES + PAGE
GOOD = ProcessorFacts(1, LOCK | VMX_OUTSIDE_SMX, DUAL_MONITOR | VMCS_4K, REVISION << 32)
NO_PROBLEM = "-"
PROBLEMS = 20


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    folder = "StmPkg/Firmware/StmStatusLib"
    files = [f"{folder}/{name}.c" for name in ("StmStatus", "StmImageCheck", "StmImageProblem")]
    loaded = build_library("image_check", *files)
    for name in ("StmStateName", "StmReasonName", "StmSourceName", "StmImageProblemName"):
        getattr(loaded, name).restype = ctypes.c_char_p
    return loaded


def image(pages: int = 2) -> bytearray:
    """A minimal sound image of ours: header page, text pages."""
    static = (1 + pages) * PAGE
    result = bytearray(static)
    struct.pack_into("<8I", result, 0, REVISION, 1, 0x47, 0xC00, 0x38, 0x1000, 0, static)
    struct.pack_into("<BBHIIIII", result, 0x800, 1, 0, 0, static, 0x2000, 0x10000, 3, 1)
    struct.pack_into("<I", result, 0x818, 0x20064)
    lab = (b"STMLABHD", 2, 40, 0x1000, pages * PAGE, 0x1000, pages * PAGE, 0, 0)
    struct.pack_into("<8s8I", result, 0xA00, *lab)
    return result


def foreign(static: int = 0x2345, tables: int = 0x4000, revisions: tuple[int, ...] = (0x80010100,)) -> bytearray:
    """One with the two headers of the interface alone: GDT in the second page, code in the third."""
    result = bytearray(static)
    struct.pack_into("<8I", result, 0, 0, 1, 0x47, 0x1000, 0x38, 0x2000, 0x9000, tables)
    struct.pack_into("<BBHIIIII", result, 0x800, 1, 1, 0, static, 0x8000, 0x46000, 3, len(revisions))
    struct.pack_into(f"<{len(revisions)}I", result, 0x818, *revisions)
    return result


def checked(
    library: ctypes.CDLL, data: bytes | bytearray, cpus: int = 1, mseg: int = MSEG, facts: ProcessorFacts = GOOD
) -> tuple[str, int, str]:
    """Reason, needed size, problem."""
    needed, problem = ctypes.c_uint64(), ctypes.c_int()
    # An exact-size buffer, so that a sanitizer or a guard page would see a read past it.
    buffer = (ctypes.c_char * len(data)).from_buffer_copy(data)
    size = ctypes.c_uint64(len(data))
    number = library.StmCheckImage(
        buffer, size, ctypes.byref(facts), cpus, ctypes.c_uint64(mseg), ctypes.byref(needed), ctypes.byref(problem)
    )
    return reason(library, number), needed.value, str(library.StmImageProblemName(problem.value).decode())


def check(
    library: ctypes.CDLL, data: bytes | bytearray, cpus: int = 1, mseg: int = MSEG, facts: ProcessorFacts = GOOD
) -> tuple[str, int]:
    result, needed, problem = checked(library, data, cpus, mseg, facts)
    assert (problem == NO_PROBLEM) == (result in ("none", "image-too-large"))
    return result, needed


def test_names(library: ctypes.CDLL) -> None:
    names = [library.StmImageProblemName(number).decode() for number in range(PROBLEMS + 1)]
    assert names[0] == NO_PROBLEM and names[-1] == "?" and len(set(names)) == len(names)
    assert all(len(name.split(":")) == 2 and " " not in name for name in names[1:-1])


@pytest.mark.parametrize("cpus", [1, 2, 17])
def test_image_and_its_size(library: ctypes.CDLL, cpus: int) -> None:
    needed = 3 * PAGE + 0x10000 + (0x2000 + 2 * PAGE) * cpus
    assert check(library, image(), cpus) == ("none", needed)
    assert check(library, image(), cpus, mseg=needed) == ("none", needed)
    assert check(library, image(), cpus, mseg=needed - 1) == ("image-too-large", needed)


@pytest.mark.parametrize(("region", "room"), [(1024, 1024), (1280, 1280), (1281, PAGE), (2048, PAGE), (PAGE, PAGE)])
def test_regions_of_other_sizes(library: ctypes.CDLL, region: int, room: int) -> None:
    """Ours puts a region that is larger than what its blocks have room for into a page of its own."""
    facts = ProcessorFacts(1, LOCK | VMX_OUTSIDE_SMX, DUAL_MONITOR | region << 32, REVISION << 32)
    needed = 3 * PAGE + 0x10000 + (0x2000 + 2 * room) * 3
    assert check(library, image(), 3, facts=facts) == ("none", needed)
    assert check(library, image(), 3, mseg=needed - 1, facts=facts) == ("image-too-large", needed)
    others = 3 * PAGE + 0x46000 + (0x8000 + 2 * region) * 3
    assert check(library, foreign(), 3, facts=facts) == ("none", others)


@pytest.mark.parametrize("cpus", [1, 2, 17])
def test_image_of_another(library: ctypes.CDLL, cpus: int) -> None:
    """edk2's formula: the static image rounded up to pages."""
    needed = 3 * PAGE + 0x46000 + (0x8000 + 2 * PAGE) * cpus
    assert check(library, foreign(), cpus) == ("none", needed)
    assert check(library, foreign(), cpus, mseg=needed - 1) == ("image-too-large", needed)


@pytest.mark.parametrize(
    "data",
    [
        foreign(),
        foreign(tables=0x3000),
        foreign(static=0x3000, tables=0x3000),
        foreign(revisions=(0x80010100, 0x20064, 0x30100)),
        foreign(revisions=tuple(range(0x580))),
        foreign() + bytes(0x5000),
        image(),
    ],
    ids=["odd size", "tables behind", "page-sized", "three revisions", "a page of revisions", "longer file", "of ours"],
)
def test_forms_that_are_taken(library: ctypes.CDLL, data: bytearray) -> None:
    assert checked(library, data)[::2] == ("none", NO_PROBLEM)
    assert find_problems(bytes(data), MSEG, REVISION) == ()


def test_tables_far_behind_count(library: ctypes.CDLL) -> None:
    """Tables that begin behind all else of the image decide what it needs."""
    data = foreign(tables=0x100000)
    struct.pack_into("<II", data, 0x808, 0, 0)
    assert check(library, data) == ("none", 0x100000 + TABLES)
    assert check(library, data, mseg=0x100000 + TABLES - 1) == ("image-too-large", 0x100000 + TABLES)


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


@pytest.mark.parametrize(("revision", "taken"), [(0, True), (REVISION, True), (REVISION + 1, False)])
def test_revision(library: ctypes.CDLL, revision: int, taken: bool) -> None:
    """0 stands for the processor's."""
    for data in (image(), foreign()):
        struct.pack_into("<I", data, 0, revision)
        found = checked(library, data)[::2]
        assert found == (("none", NO_PROBLEM) if taken else ("mseg-revision", "MsegHeaderRevision:not-the-processors"))
        assert [problem.name for problem in find_problems(bytes(data), MSEG, REVISION)] == [found[1]] * (not taken)


OF_THE_INTERFACE = [
    (0x004, 0, "MonitorFeatures:not-ia32e-mode"),
    (0x004, 3, "MonitorFeatures:reserved-bits"),
    (0x008, 0xFFFF, "GdtrBaseOffset:outside-static-image"),
    (0x00C, 0x3000, "GdtrBaseOffset:outside-static-image"),
    (0x00C, 0xFFFFFFFF, "GdtrBaseOffset:outside-static-image"),
    (0x014, 0x817, "EipOffset:outside-static-image"),
    (0x014, 0x3000, "EipOffset:outside-static-image"),
    (0x018, 0x200001, "EspOffset:outside-mseg"),
    (0x01C, 0x4800, "Cr3Offset:not-a-page"),
    (0x01C, 0x2000, "Cr3Offset:inside-static-image"),
    (0x01C, 0, "Cr3Offset:inside-static-image"),
    (0x800, 0x0002, "StmSpecVerMajor:unknown"),
    (0x804, 0x817, "StaticImageSize:shorter-than-headers"),
    (0x804, 0x10000, "StaticImageSize:beyond-file"),
    (0x814, 0, "NumberOfRevIDs:none"),
    (0x814, 0xA00, "NumberOfRevIDs:beyond-static-image"),
    (0x814, 0xFFFFFFFF, "NumberOfRevIDs:beyond-static-image"),
]


@pytest.mark.parametrize(("offset", "value", "problem"), OF_THE_INTERFACE)
def test_what_breaks_the_interface(library: ctypes.CDLL, offset: int, value: int, problem: str) -> None:
    for data in (foreign(), image()):
        struct.pack_into("<I", data, offset, value)
        assert checked(library, data) == ("image-malformed", 0, problem)
        assert problem in {found.name for found in find_problems(bytes(data), MSEG, REVISION)}


@pytest.mark.parametrize(
    ("offset", "value", "taken"),
    [
        (0x008, 0x1234_0047, True),  # the processor uses 16 bits of the limit,
        (0x010, 0x1234_003F, True),  # and 13 of the selector
        (0x010, 0, True),  # for 0 it takes 8
        (0x010, 0x40, True),  # a data selector that no descriptor is behind: the processor does not look
        (0x008, 0, True),  # nor anything else, for an STM that loads a GDT of its own before its first IRET
        (0x018, 0x200000, True),  # a stack that ends where MSEG does
        (0x800, 0x0901, True),  # minor version
        (0x800, 0x0900, False),
    ],
)
def test_bits_without_a_say(library: ctypes.CDLL, offset: int, value: int, taken: bool) -> None:
    data = foreign()
    struct.pack_into("<I", data, offset, value)
    assert (check(library, data)[0] == "none") == taken
    assert (find_problems(bytes(data), MSEG, REVISION) == ()) == taken


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (0x014, 0xFFF, "lab-header:disagrees-with-EipOffset"),
        (0x01C, 0x4000, "lab-header:disagrees-with-Cr3Offset"),
        (0x804, 0x2000, "lab-header:disagrees-with-StaticImageSize"),
        (0xA08, 1, "lab-header:unknown-version"),
        (0xA0C, 8, "lab-header:unknown-version"),
        (0xA10, 0x2000, "lab-header:unknown-version"),
        (0xA14, 0, "lab-header:parts-outside-image"),
        (0xA14, 0x1800, "lab-header:parts-outside-image"),
        (0xA14, 0xFFFFF000, "lab-header:disagrees-with-StaticImageSize"),
        (0xA18, 0x800, "lab-header:parts-outside-image"),
        (0xA1C, 0x3000, "lab-header:parts-outside-image"),
        (0xA24, 0x1000, "lab-header:parts-outside-image"),
    ],
)
def test_what_breaks_the_header_of_ours(library: ctypes.CDLL, offset: int, value: int, problem: str) -> None:
    data = image()
    struct.pack_into("<I", data, offset, value)
    assert checked(library, data) == ("image-malformed", 0, problem)
    assert [found.name for found in find_problems(bytes(data), MSEG, REVISION)] == [problem]


def test_without_our_signature_it_is_anothers(library: ctypes.CDLL) -> None:
    data = image()
    struct.pack_into("<I", data, 0xA00, 0)
    assert check(library, data)[0] == "none"


@pytest.mark.parametrize("size", [0, 1, 0x817])
def test_no_headers(library: ctypes.CDLL, size: int) -> None:
    assert checked(library, bytes(size)) == ("image-malformed", 0, "file:shorter-than-headers")
    assert [problem.name for problem in find_problems(bytes(size), MSEG)] == ["file:shorter-than-headers"]


FIELDS = [*range(0, 0x20, 4), *range(0x800, 0x818, 4), *range(0xA00, 0xA28, 4)]
VALUES = st.one_of(
    st.integers(0, 0x40), st.sampled_from([0x800, 0x1000, 0x2000, 0x3000, 0x4000]), st.integers(0, 2**32 - 1)
)


@given(
    st.sampled_from([image(), foreign()]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3),
    st.integers(0, 0x3100),
)
def test_loader_and_inspector_agree(library: ctypes.CDLL, base: bytearray, changes: dict[int, int], size: int) -> None:
    """Whatever the headers hold: both refuse the same images, and the loader's reason is one that the inspector has."""
    data = bytearray(base)
    for offset, value in changes.items():
        struct.pack_into("<I", data, offset, value)
    for candidate in (bytes(data), bytes(data[:size])):
        result, _, problem = checked(library, candidate)
        assert result in REASONS
        names = [found.name for found in find_problems(candidate, MSEG, REVISION)]
        assert (problem == NO_PROBLEM and not names) or problem in names
