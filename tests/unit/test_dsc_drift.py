# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A component named again replaces OVMF's whole block: every block must repeat all of its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.sources import sources
from tests.support.edk2 import dsc_lines

OWN = Path("Platform/OvmfStmPkg/OvmfStmPkg.dsc")
THEIRS = Path("OvmfPkg/OvmfPkgX64.dsc")

# What PlatformBuild.py passes; OVMF's description has defaults for the rest.
VARIABLES = {
    "ARCH": "X64",
    "TARGET": "DEBUG",
    "TOOL_CHAIN_TAG": "GCC",
    "SMM_REQUIRE": "TRUE",
    "SECURE_BOOT_ENABLE": "FALSE",
    "CC_MEASUREMENT_ENABLE": "FALSE",
    "NETWORK_ENABLE": "FALSE",
    "TPM2_ENABLE": "FALSE",
}

# Component -> lines of OVMF that ours does not have, lines that it has instead.
CHANGED = {
    "UefiCpuPkg/PiSmmCpuDxeSmm/PiSmmCpuDxeSmm.inf": (
        {"SmmCpuFeaturesLib|OvmfPkg/Library/SmmCpuFeaturesLib/SmmCpuFeaturesLib.inf"},
        {"SmmCpuFeaturesLib|StmPkg/Firmware/SmmCpuFeaturesLib/SmmCpuFeaturesLib.inf"},
    ),
    "OvmfPkg/Sec/SecMain.inf": (
        {
            "NULL|OvmfPkg/IntelTdx/TdxHelperLib/SecTdxHelperLib.inf",
            "BaseCryptLib|CryptoPkg/Library/BaseCryptLib/SecCryptLib.inf",
        },
        {"NULL|OvmfPkg/IntelTdx/TdxHelperLib/TdxHelperLibNull.inf"},
    ),
    "SecurityPkg/Hash2DxeCrypto/Hash2DxeCrypto.inf": (
        set(),
        {"BaseCryptLib|CryptoPkg/Library/BaseCryptLibNull/BaseCryptLibNull.inf"},
    ),
}


Blocks = dict[str, list[set[str]]]


def blocks(lines: list[str]) -> Blocks:
    """The lines of each component's blocks, in the order in which it is named."""
    found: Blocks = {}
    section, current = "", ""
    for raw in lines:
        line = "".join(raw.split()) if "|" in raw else " ".join(raw.split())
        if line.startswith("["):
            section = line.strip("[]")
        elif section != "Components":
            continue
        elif line == "}":
            current = ""
        elif current:
            found[current][-1].add(line)
        else:
            name = line.removesuffix("{").strip()
            found.setdefault(name, []).append(set())
            current = name if line.endswith("{") else ""
    return found


@pytest.fixture(scope="module")
def theirs() -> Blocks:
    edk2 = sources.edk2_dir()
    return blocks(dsc_lines(edk2 / THEIRS, edk2, VARIABLES))


@pytest.fixture(scope="module")
def own(checkout: Path, theirs: Blocks) -> Blocks:
    """What ours adds behind OVMF's description, which it includes whole."""
    whole = blocks(dsc_lines(checkout / OWN, sources.edk2_dir(), VARIABLES))
    for name, included in theirs.items():
        assert whole[name][: len(included)] == included
    added = {name: found[len(theirs.get(name, ())) :] for name, found in whole.items()}
    return {name: found for name, found in added.items() if found}


def test_overridden_components_are_the_listed_ones(own: Blocks, theirs: Blocks) -> None:
    assert set(own) & set(theirs) == set(CHANGED)


@pytest.mark.parametrize("component", CHANGED)
def test_block_repeats_all_other_lines(own: Blocks, theirs: Blocks, component: str) -> None:
    removed, added = CHANGED[component]
    (mine,), before = own[component], theirs[component][-1]
    assert removed <= before
    headers = {"<LibraryClasses>"}
    assert mine - headers == (before - removed - headers) | added


def test_a_changed_block_is_noticed() -> None:
    lines = ["[Components]", "A/A.inf", "B/B.inf {", "<LibraryClasses>", "X | Y/Y.inf", "}", "A/A.inf {", "}"]
    assert blocks(lines) == {"A/A.inf": [set(), set()], "B/B.inf": [{"<LibraryClasses>", "X|Y/Y.inf"}]}
    assert blocks([line.replace("Y/Y", "Z/Z") for line in lines]) != blocks(lines)
