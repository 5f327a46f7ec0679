# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Exit codes of the lab and the one exception that carries them.

Standard library only: the bootstrap uses it before any package is installed.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the process returns; documented in docs/reference/cli.rst."""

    OK = 0
    USAGE = 2
    MISSING_PACKAGES = 3
    BUILD_FAILED = 4
    GUEST_HUNG = 5
    GUEST_CRASHED = 6
    EXPECTATION_FAILED = 7


class LabError(Exception):
    """One clear error: what is wrong, what mends it, and where the log is."""

    def __init__(
        self,
        message: str,
        code: ExitCode = ExitCode.BUILD_FAILED,
        *,
        remedy: str = "",
        log: Path | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy
        self.log = log

    def __str__(self) -> str:
        """The message, with remedy and log each on a line of its own."""
        lines = [self.message]
        if self.remedy:
            lines.append(f"remedy: {self.remedy}")
        if self.log is not None:
            lines.append(f"log: {self.log}")
        return "\n".join(lines)
