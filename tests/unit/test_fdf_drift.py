# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The platform's FDF restates OVMF's: every difference between the two is listed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts.sources import sources
from tests.support.edk2 import fdf_lines

OWN = Path("Platform/OvmfStmPkg/OvmfStmPkg.fdf")
THEIRS = Path("OvmfPkg/OvmfPkgX64.fdf")

# What PlatformBuild.py passes, and OVMF's defaults for the rest.
FLAGS = {
    "SMM_REQUIRE": "TRUE",
    "SECURE_BOOT_ENABLE": "FALSE",
    "CC_MEASUREMENT_ENABLE": "FALSE",
    "SOURCE_DEBUG_ENABLE": "FALSE",
    "PVSCSI_ENABLE": "FALSE",
    "MPT_SCSI_ENABLE": "FALSE",
    "LSI_SCSI_ENABLE": "FALSE",
    "E1000_ENABLE": "FALSE",
}

REMOVED = {
    "FV.PEIFV": [
        "INF FILE_GUID = $(UP_CPU_PEI_GUID) UefiCpuPkg/CpuMpPei/CpuMpPei.inf",  # for trust domains
        "!include OvmfPkg/Include/Fdf/OvmfTpmPei.fdf.inc",
    ],
    "FV.DXEFV": [
        "INF OvmfPkg/AmdSevDxe/AmdSevDxe.inf",  # in the a-priori list and as a driver
        "INF FILE_GUID = $(UP_CPU_DXE_GUID) UefiCpuPkg/CpuDxe/CpuDxe.inf",  # for trust domains
        "INF SecurityPkg/Hash2DxeCrypto/Hash2DxeCrypto.inf",  # nobody uses it; it needs OpenSSL
        "!include NetworkPkg/Network.fdf.inc",
        "INF OvmfPkg/VirtioNetDxe/VirtioNet.inf",
        "INF OvmfPkg/CpuHotplugSmm/CpuHotplugSmm.inf",  # asserts without hot-plug data
        "!include OvmfPkg/Include/Fdf/OvmfTpmDxe.fdf.inc",
    ],
}
# Own lines carry one of these; nothing of OVMF's does.
# The TPM's modules are those that OVMF includes under TPM2_ENABLE, but for TPM 1.2, the menus and what they need.
ADDED = re.compile(r"StmPkg|StmImage|startup\.nsh|FvSimpleFileSystemDxe|/Tcg/")


def statements(text: str) -> dict[str, list[str]]:
    """Splits an FDF into sections of normalised lines, with the conditions resolved."""
    sections: dict[str, list[str]] = {}
    current = ""
    for raw in fdf_lines(text, FLAGS):
        line = " ".join(raw.split())
        if line.startswith("["):
            current = line.strip("[]")
            sections[current] = []
        else:
            sections[current].append(line)
    return sections


def without_own_files(lines: list[str]) -> list[str]:
    """Drops our modules, and whole FILE blocks that hold our files."""
    kept: list[str] = []
    block: list[str] = []
    for line in lines:
        if block or re.match(r"FILE FREEFORM\b.*\{$", line):
            block.append(line)
            if line == "}":
                if not ADDED.search(" ".join(block)):
                    kept += block
                block = []
        elif not ADDED.search(line):
            kept.append(line)
    return kept


@pytest.fixture(scope="module")
def edk2() -> Path:
    return sources.edk2_dir()


def test_own_fdf_differs_from_edk2_only_where_listed(checkout: Path, edk2: Path) -> None:
    own = statements((checkout / OWN).read_text(encoding="utf-8"))
    theirs = statements((edk2 / THEIRS).read_text(encoding="utf-8"))
    assert set(own) == set(theirs)
    for name, lines in theirs.items():
        removed = REMOVED.get(name, [])
        stale = [line for line in removed if line not in lines]
        assert not stale, f"[{name}]: edk2 no longer has {stale}"
        assert without_own_files(own[name]) == [line for line in lines if line not in removed], f"[{name}]"


def test_no_allowed_removal_is_present(checkout: Path) -> None:
    own = statements((checkout / OWN).read_text(encoding="utf-8"))
    for name, removed in REMOVED.items():
        assert not set(removed) & set(own[name])


def test_a_changed_module_list_is_noticed() -> None:
    before = statements("[FV.X]\nINF A/A.inf # comment\n!if $(SMM_REQUIRE) == FALSE\nINF B/B.inf\n!endif\n")
    assert before == {"FV.X": ["INF A/A.inf"]}
    assert without_own_files(["INF A/A.inf", "INF StmPkg/B.inf"]) == ["INF A/A.inf"]
