# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``test``: run the test-suite, on several processors."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from build_scripts import paths

# More do not help: the long part is a few boots that must not starve each other.
MOST_WORKERS = 4
# Whoever uses these decides for himself, or wants to talk to the tests.
_ALONE = ("-n", "--numprocesses", "--dist", "--pdb", "-s", "--capture", "--collect-only", "--co", "-p")


def pytest_command(arguments: list[str], processors: int) -> list[str]:
    """The call of pytest: the user's arguments, and workers unless these say otherwise.

    Args:
        arguments: what the user wrote behind ``test``.
        processors: of this computer; one worker each.
    """
    command = [sys.executable, "-m", "pytest"]
    workers = min(processors, MOST_WORKERS)
    if workers == 1 or any(argument.startswith(_ALONE) for argument in arguments):
        return [*command, *arguments]
    # Tests that share a boot are a group (tests/conftest.py); the groups start in the session's order.
    return [*command, "-n", str(workers), "--dist", "loadgroup", "--no-loadscope-reorder", *arguments]


def test(arguments: list[str]) -> NoReturn:
    """Run pytest in the checkout; its exit status is the result."""
    os.chdir(paths.CHECKOUT)
    sys.stdout.flush()
    os.execv(sys.executable, pytest_command(arguments, os.cpu_count() or 1))
