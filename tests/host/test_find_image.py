# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where the loader takes the STM image from: never another one than the owner of the machine asks for."""

from __future__ import annotations

import ctypes
import hashlib
import re
import sys
from pathlib import Path

import pytest

from build_scripts.machine.processors import STM_IMAGE_KEY
from tests.host.conftest import Build

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Platform" / "OvmfStmPkg"))

import images

NONE, MISSING, MALFORMED, TOO_LARGE, FORBIDDEN = 0, 7, 8, 9, 10
DIGEST = 16
VOLUME, FW_CFG = 1, 2
LIMIT = 0x200000
BUILT_IN, PASSED = b"the image of the firmware volume", b"the image that is passed"


class Image(ctypes.Structure):
    _fields_ = [("file", ctypes.c_void_p), ("size", ctypes.c_uint64), ("source", ctypes.c_int)]


class Machine:
    """What the loader finds."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def find(
        self,
        passed: bytes | None = None,
        built_in: bytes | None = BUILT_IN,
        allowed: bool = True,
        memory: bool = True,
        limit: int = LIMIT,
    ) -> tuple[int, int, bytes | None]:
        """The result, the source and the image."""
        ctypes.c_uint8.in_dll(self.library, "TestAllowed").value = allowed
        ctypes.c_uint8.in_dll(self.library, "TestNoMemory").value = not memory
        for name, content in (("FwCfg", passed), ("Volume", built_in)):
            ctypes.c_char_p.in_dll(self.library, f"Test{name}").value = content
            ctypes.c_uint64.in_dll(self.library, f"Test{name}Size").value = len(content or b"")
        ctypes.c_uint64.in_dll(self.library, "TestBytesRead").value = 0
        image = Image(1, 1, 99)
        result = self.library.FindImage(ctypes.c_uint64(limit), ctypes.byref(image))
        found = ctypes.string_at(image.file, image.size) if image.file else None
        assert (found is not None) == (result == NONE)
        assert found is None or image.file == ctypes.addressof(ctypes.c_uint8.in_dll(self.library, "TestSmram"))
        return result, image.source, found

    @property
    def bytes_read(self) -> int:
        return ctypes.c_uint64.in_dll(self.library, "TestBytesRead").value


@pytest.fixture(scope="module")
def machine(build_library: Build) -> Machine:
    return Machine(build_library("find_image", "tests/host/find_image_stub.c"))


@pytest.mark.parametrize("allowed", [True, False])
def test_without_a_file_the_firmware_volume_serves(machine: Machine, allowed: bool) -> None:
    assert machine.find(allowed=allowed) == (NONE, VOLUME, BUILT_IN)
    assert machine.find(allowed=allowed, built_in=None) == (MISSING, VOLUME, None)
    assert machine.find(allowed=allowed, memory=False) == (MISSING, VOLUME, None)


def test_what_is_checked_lies_where_no_device_writes(machine: Machine) -> None:
    """The image is in SMRAM before anybody looks at it, and what was read from the volume may change then."""
    assert machine.find() == (NONE, VOLUME, BUILT_IN)
    ordinary = ctypes.c_void_p.in_dll(machine.library, "TestOrdinary").value
    assert ordinary is not None and ctypes.string_at(ordinary, len(BUILT_IN)) == b"\xee" * len(BUILT_IN)


@pytest.mark.parametrize("built_in", [BUILT_IN, None])
def test_a_build_for_the_lab_takes_the_file(machine: Machine, built_in: bytes | None) -> None:
    assert machine.find(PASSED, built_in) == (NONE, FW_CFG, PASSED)


@pytest.mark.parametrize("built_in", [BUILT_IN, None])
def test_another_build_refuses_and_reads_nothing(machine: Machine, built_in: bytes | None) -> None:
    assert machine.find(PASSED, built_in, allowed=False) == (FORBIDDEN, FW_CFG, None)
    assert machine.bytes_read == 0


def test_a_file_that_cannot_be_an_image_is_not_replaced(machine: Machine) -> None:
    assert machine.find(b"") == (MALFORMED, FW_CFG, None)
    assert machine.find(PASSED, limit=len(PASSED) - 1) == (TOO_LARGE, FW_CFG, None)
    assert machine.bytes_read == 0
    assert machine.find(PASSED, limit=len(PASSED)) == (NONE, FW_CFG, PASSED)
    assert machine.find(PASSED, memory=False) == (MISSING, FW_CFG, None)


def test_the_volume_holds_the_image_that_was_built(machine: Machine, checkout: Path, tmp_path: Path) -> None:
    """Each byte of the digest counts; without one built in nothing fits; what is passed is the owner's choice."""
    built = tmp_path / "Stm.mseg"
    built.write_bytes(BUILT_IN)
    flags = images.digest_flags(built)
    parts = (ctypes.c_uint64 * 4).in_dll(machine.library, "TestDigest")
    digest = hashlib.sha256(BUILT_IN).digest()

    def check(source: int, sha256: bytes) -> int:
        return int(machine.library.CheckImageDigest(source, sha256))

    parts[:] = [0, 0, 0, 0]
    assert check(VOLUME, digest) == DIGEST
    parts[:] = [int(flags[f"STM_IMAGE_DIGEST{index}"], 16) for index in range(4)]
    assert check(VOLUME, digest) == NONE
    for index in range(len(digest)):
        other = bytes(byte ^ (0x10 if place == index else 0) for place, byte in enumerate(digest))
        assert check(VOLUME, other) == DIGEST
        assert check(FW_CFG, other) == NONE
    platform = (checkout / "Platform/OvmfStmPkg/OvmfStmPkg.dsc").read_text()
    assert all(f"PcdStmImageDigest{index}|$({name})" in platform for index, name in enumerate(flags))


def test_only_builds_for_the_lab_allow_it(checkout: Path) -> None:
    """The package forbids it; the platform allows it except in a RELEASE build."""
    package = (checkout / "StmPkg/StmPkg.dec").read_text()
    assert re.search(r"PcdStmImageOverride\|FALSE\|BOOLEAN", package)
    platform = (checkout / "Platform/OvmfStmPkg/OvmfStmPkg.dsc").read_text()
    allowed = r"!if \$\(TARGET\) != RELEASE\n\s+gStmPkgTokenSpaceGuid\.PcdStmImageOverride\|TRUE\n!endif"
    assert re.search(allowed, platform) and platform.count("PcdStmImageOverride") == 1


def test_the_lab_and_the_firmware_mean_the_same_file(checkout: Path) -> None:
    header = (checkout / "StmPkg/Include/Guid/StmStatusTable.h").read_text()
    assert f'"{STM_IMAGE_KEY}"' in header
