# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A component named again replaces OVMF's whole block: every block must repeat all of its lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts.sources import sources

OWN = Path("Platform/OvmfStmPkg/OvmfStmPkg.dsc")
THEIRS = Path("OvmfPkg/OvmfPkgX64.dsc")

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


def components(text: str) -> dict[str, set[str]]:
    """The lines of each component's block; conditions are not evaluated, which these blocks do without."""
    result: dict[str, set[str]] = {}
    section, current = "", ""
    for raw in text.splitlines():
        line = re.sub(r"\s+", " ", raw.split("#")[0]).strip()
        if match := re.fullmatch(r"\[(.+)\]", line):
            section = match[1]
        elif section != "Components" or not line or line.startswith("!"):
            continue
        elif line == "}":
            current = ""
        elif current:
            result[current].add(line.replace(" |", "|").replace("| ", "|"))
        elif match := re.fullmatch(r"(\S+\.inf)( \{)?", line):
            current = match[1] if match[2] else ""
            result.setdefault(match[1], set())
    return result


@pytest.fixture(scope="module")
def own(checkout: Path) -> dict[str, set[str]]:
    return components((checkout / OWN).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def theirs() -> dict[str, set[str]]:
    return components((sources.edk2_dir() / THEIRS).read_text(encoding="utf-8"))


def test_overridden_components_are_the_listed_ones(own: dict[str, set[str]], theirs: dict[str, set[str]]) -> None:
    assert set(own) & set(theirs) == set(CHANGED)


@pytest.mark.parametrize("component", CHANGED)
def test_block_repeats_all_other_lines(own: dict[str, set[str]], theirs: dict[str, set[str]], component: str) -> None:
    removed, added = CHANGED[component]
    assert removed <= theirs[component]
    headers = {"<LibraryClasses>"}
    assert own[component] - headers == (theirs[component] - removed - headers) | added
