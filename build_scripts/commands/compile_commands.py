# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``compile-commands``: tell an editor's language server how our C is compiled."""

from __future__ import annotations

from pathlib import Path

from build_scripts import paths
from build_scripts.builds import compile_commands
from build_scripts.errors import ExitCode


def run(output: Path | None) -> int:
    """Write ``compile_commands.json``; by default at the top of the checkout, where language servers look.

    Raises:
        LabError: a build failed, or the file cannot be written.
    """
    target = output if output is not None else paths.CHECKOUT / "compile_commands.json"
    print(f"{compile_commands.write(target)} files: {target}")
    return ExitCode.OK
