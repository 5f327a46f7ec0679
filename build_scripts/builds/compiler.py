# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The host's compiler, whose version decides what it makes."""

from __future__ import annotations

import subprocess


def compiler_version(compiler: str = "gcc") -> str:
    """The version string of a compiler, part of the key of what it builds."""
    result = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=True)
    return result.stdout.strip()
