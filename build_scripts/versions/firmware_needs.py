# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What our platform and package take from edk2 by name, and whether another edk2 has it."""

from __future__ import annotations

import re
from pathlib import Path

_MODULE = re.compile(r"(?:^|[|\s])(\w+Pkg/[\w.+/-]+\.(?:inf|dec|dsc|inc))\b", re.MULTILINE)
_INCLUDE = re.compile(r"^\s*#\s*include\s*<([\w./]+)>", re.MULTILINE)
_OURS = ("StmPkg/", "OvmfStmPkg/")
# Folders of edk2's packages in which a header may be.
_HEADERS = ("*/Include", "*/Include/X64", "*/Include/Ia32", "*/Private")


def _text(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line.partition("#")[0] if path.suffix != ".c" and path.suffix != ".h" else line for line in lines)


def named_files(checkout: Path) -> set[str]:
    """Files of edk2 that our descriptions name: modules, packages, included parts."""
    found: set[str] = set()
    for pattern in ("*.inf", "*.dsc", "*.fdf"):
        for folder in ("StmPkg", "Platform/OvmfStmPkg"):
            for path in (checkout / folder).rglob(pattern):
                found.update(_MODULE.findall(_text(path)))
    return {name for name in found if not name.startswith(_OURS)}


def named_headers(checkout: Path) -> set[str]:
    """Headers that our C files include and do not bring along."""
    found: set[str] = set()
    own = {*(checkout / "StmPkg" / "Include").rglob("*.h")}
    for folder in ("StmPkg", "Platform/OvmfStmPkg"):
        for path in (checkout / folder).rglob("*.[ch]"):
            if "LinuxMle" not in path.parts:
                found.update(_INCLUDE.findall(path.read_text(encoding="utf-8")))
    ours = {str(path.relative_to(checkout / "StmPkg" / "Include")) for path in own}
    return found - ours


def missing(checkout: Path, edk2: Path) -> list[str]:
    """What an edk2 does not have of what we name, a phrase each."""
    lacks = [f"no {name}" for name in sorted(named_files(checkout)) if not (edk2 / name).is_file()]
    folders = [folder for pattern in _HEADERS for folder in edk2.glob(pattern)]
    for header in sorted(named_headers(checkout)):
        if not any((folder / header).is_file() for folder in folders):
            lacks.append(f"no <{header}>")
    return lacks
