# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The host's compiler, whose version decides what it makes, and those that made what a bundle brought."""

from __future__ import annotations

import shutil
import subprocess

from build_scripts import system
from build_scripts.bundles import record


def compiler_version(compiler: str = "gcc") -> str:
    """The version string of a compiler, part of the key of what it builds.

    Raises:
        LabError: there is none, and it cannot be installed.
    """
    if shutil.which(compiler) is None:
        # With a bundle nobody has asked for it so far.
        system.ensure_packages(system.STM_NEEDS)
    result = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def known_compilers() -> list[str]:
    """The versions of compilers whose results would do: a bundle's, and the host's if there is one."""
    own = [compiler_version()] if shutil.which("gcc") is not None else []
    return list(dict.fromkeys([*record.compilers(), *own]))
