# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Applies the machine's patches to a QEMU, one by one, and tells of each how it went."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from build_scripts.builds.qemu_build import touched_files

_FAILED = re.compile(
    r"^(?:Hunk #\d+ FAILED at \d+\.|.*[Nn]o file to patch.*|\d+ out of \d+ hunks? (?:FAILED|ignored).*)"
)
_FILE = re.compile(r"^(?:checking|patching) file (\S+)")
# What `patch` takes for a place without any doubt of its own, and what it takes at all.
_STRICT, _LENIENT = 0, 2


class Fit(StrEnum):
    """How a patch went."""

    CLEAN = "applies"
    MOVED = "applies elsewhere"  # the lines are the same, their numbers are not
    FUZZY = "applies with fuzz"  # lines around them are not: somebody has to look
    FAILED = "fails"


@dataclass(frozen=True)
class PatchResult:
    """One patch.

    Attributes:
        name: of its file.
        fit: how it went; after one that fails the next ones are tried on what is there.
        complaints: of a patch that fails, ``FILE: what patch says``.
    """

    name: str
    fit: Fit
    complaints: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether a build would take it: the lab applies patches without fuzz."""
        return self.fit in (Fit.CLEAN, Fit.MOVED)


def _patch(work: Path, patch: Path, fuzz: int, *, dry: bool) -> tuple[bool, str]:
    command = ["patch", "--directory", str(work), "-p1", f"--fuzz={fuzz}", "--no-backup-if-mismatch", "--batch"]
    command += ["--forward", "--reject-file=-", "--input", str(patch), *(["--dry-run"] if dry else [])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode == 0, result.stdout + result.stderr


def _complaints(said: str) -> tuple[str, ...]:
    file, found = "", []
    for line in said.splitlines():
        if (named := _FILE.match(line)) is not None:
            file = named[1]
        elif _FAILED.match(line):
            found.append(f"{file}: {line}" if file else line)
    return tuple(found)


def _apply(work: Path, patch: Path) -> PatchResult:
    fits, said = _patch(work, patch, _STRICT, dry=True)
    if fits:
        _patch(work, patch, _STRICT, dry=False)
        return PatchResult(patch.name, Fit.MOVED if "offset" in said else Fit.CLEAN)
    if _patch(work, patch, _LENIENT, dry=True)[0]:
        _patch(work, patch, _LENIENT, dry=False)
        return PatchResult(patch.name, Fit.FUZZY)
    return PatchResult(patch.name, Fit.FAILED, _complaints(said) or tuple(said.strip().splitlines()[-1:]))


def try_series(source: Path, series: list[Path]) -> list[PatchResult]:
    """Apply a series to copies of the files that it touches.

    Args:
        source: a QEMU source tree; only read.
        series: the patches, in order.
    """
    with tempfile.TemporaryDirectory(prefix="stmlab-matrix-") as name:
        work = Path(name)
        for relative in touched_files(series):
            (work / relative).parent.mkdir(parents=True, exist_ok=True)
            if (source / relative).is_file():
                shutil.copyfile(source / relative, work / relative)
        return [_apply(work, patch) for patch in series]
