# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How each file of ours is compiled, for the language server of an editor."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TypedDict

from build_scripts import paths
from build_scripts.builds import firmware_build, qemu_build
from build_scripts.errors import ExitCode, LabError


class Entry(TypedDict, total=False):
    """One entry of the JSON Compilation Database: folder, command, file (output is left to who compiles)."""

    directory: str
    command: str
    file: str


def _read(path: Path) -> list[Entry]:
    entries: list[Entry] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def machine_entries(database: Path, sources: Path, overlay: Path) -> list[Entry]:
    """The entries of our files, pointed from the build tree's copies to the checkout.

    Args:
        database: ``compile_commands.json`` of QEMU's build directory.
        sources: where the build tree holds our files.
        overlay: where the checkout holds them.
    """
    found = []
    for entry in _read(database):
        source = (Path(entry["directory"]) / entry["file"]).resolve()
        if not source.is_relative_to(sources.resolve()):
            continue
        ours = overlay / source.relative_to(sources.resolve())
        words = [str(ours) if word == entry["file"] else word for word in shlex.split(entry["command"])]
        # Headers beside the file are the checkout's; those of QEMU come from the build tree's paths.
        found.append(Entry(directory=entry["directory"], command=shlex.join(words), file=str(ours)))
    return found


def firmware_entries(database: Path, checkout: Path) -> list[Entry]:
    """The entries of the checkout's own files; those of edk2 are left out.

    Args:
        database: ``compile_commands.json`` of an EDK II build.
        checkout: the folder that holds our packages.
    """
    return [
        Entry(directory=entry["directory"], command=entry["command"], file=entry["file"])
        for entry in _read(database)
        if Path(entry["file"]).is_relative_to(checkout) and not Path(entry["file"]).is_relative_to(checkout / "Build")
    ]


def write(target: Path) -> int:
    """Build what is missing and write the database; returns the number of its entries.

    Raises:
        LabError: a build failed, or the file cannot be written.
    """
    folder = qemu_build.updated_tree()
    ours = folder / "src" / qemu_build.OVERLAY_TARGET
    entries = machine_entries(folder / "build" / "compile_commands.json", ours, qemu_build.OVERLAY / "vmx")
    entries += firmware_entries(firmware_build.compile_info(), paths.CHECKOUT)
    try:
        target.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise LabError(f"--output {target}: {error.strerror}", ExitCode.USAGE) from error
    return len(entries)
