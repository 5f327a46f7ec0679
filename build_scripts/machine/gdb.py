# SPDX-License-Identifier: BSD-2-Clause-Patent
"""GDB on a machine of the lab: the file of its commands, and the session."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError

VMX_COMMAND = paths.CHECKOUT / "Platform" / "QemuVmx" / "gdb" / "vmx.py"
COMMANDS_FILE = "gdb.commands"


@dataclass(frozen=True)
class SymbolFile:
    """Symbols of an image, and where the image begins in memory."""

    path: Path
    base: int


def commands(
    socket: Path, symbols: Iterable[SymbolFile], place: str | None, checkouts: Iterable[str] = ()
) -> list[str]:
    """What GDB executes first: it stops at `place`, as GDB takes it, or without one before the first instruction.

    Args:
        socket: of QEMU's gdb stub, whose breakpoints write nothing to the guest's memory.
        checkouts: where the images were compiled; the sources are read in this one.
    """
    lines = ["set confirm off", "set pagination off", "set width 0", "set architecture i386:x86-64"]
    lines.append(f"source {VMX_COMMAND}")
    lines += [f"set substitute-path {root} {paths.CHECKOUT}" for root in checkouts if root != str(paths.CHECKOUT)]
    lines += [f"add-symbol-file {file.path} -o {file.base:#x}" for file in symbols]
    lines.append(f"target remote {socket}")
    return [*lines, f"break {place}", "continue"] if place is not None else lines


def session(run_dir: Path, lines: Iterable[str], own: Iterable[str]) -> int:
    """Run GDB in the terminal; returns its exit status.

    Args:
        lines: commands to begin with.
        own: the user's commands; with any GDB ends behind them.

    Raises:
        LabError: there is no GDB.
    """
    file = run_dir / COMMANDS_FILE
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    arguments = ["gdb", "-nx", "-q", "-x", str(file)]
    given = [word for command in own for word in ("-ex", command)]
    if given:
        arguments.insert(1, "-batch")
    try:
        return subprocess.run([*arguments, *given], check=False).returncode
    except FileNotFoundError:
        raise LabError("no gdb on the path", ExitCode.MISSING_PACKAGES, remedy="install gdb") from None
