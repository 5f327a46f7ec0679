# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``completion``: shell code that completes commands, options and file names."""

from __future__ import annotations

import shlex

from argcomplete.shell_integration import shellcode

from build_scripts import paths
from build_scripts.errors import ExitCode

SHELLS = ("bash", "zsh")
NAME = "stmlab"


def completion(shell: str) -> int:
    """Print what a shell evaluates: the command ``stmlab``, if it has none, and how it is completed."""
    checkout = shlex.quote(str(paths.CHECKOUT))
    # A shell completes by the first word of a line, so that python3 -m build_scripts needs a name of its own.
    function = f'{NAME}() {{ PYTHONPATH={checkout}${{PYTHONPATH:+:$PYTHONPATH}} python3 -m build_scripts "$@"; }}'
    print(f"command -v {NAME} >/dev/null || {function}")
    print(shellcode([NAME], shell=shell))
    return ExitCode.OK
