# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A drive that the firmware can read: a FAT file system with some files, made by mtools."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from build_scripts.errors import LabError

MIB = 1 << 20
# For the tables of the file system, and so that it is no smaller than FAT16.
_BESIDE_FILES = 16 * MIB
_LABEL = "STMLAB"


def _mtools(command: str, image: Path, *words: str, content: bytes | None = None) -> None:
    arguments = [command, "-i", str(image), *words]
    result = subprocess.run(arguments, input=content, capture_output=True, check=False)
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip()
        raise LabError(f"{command} made no drive for the firmware: {said}")


def write_drive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the image of a drive.

    Args:
        files: name to content.
    Raises:
        LabError: mtools refused something.
    """
    with path.open("wb") as image:
        image.truncate(_BESIDE_FILES + sum(len(data) + MIB for data in files.values()) // MIB * MIB)
    _mtools("mformat", path, "-v", _LABEL, "::")
    for name, data in files.items():
        _mtools("mcopy", path, "-", f"::{name}", content=data)
