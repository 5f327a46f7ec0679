# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``test``: run the test-suite."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from build_scripts import paths


def test(arguments: list[str]) -> NoReturn:
    """Run pytest in the checkout; its exit status is the result."""
    os.chdir(paths.CHECKOUT)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])
