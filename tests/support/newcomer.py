# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a newcomer's shell has, for commands that tests call as he does."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    """A newcomer's environment: not the one that pytest and the lab made."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "STMLAB_"))}
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        variables.pop(name, None)
    # Without our own environment's python3 on the path the command bootstraps as it does for a newcomer.
    own = str(Path(sys.prefix) / "bin")
    variables["PATH"] = os.pathsep.join(part for part in variables["PATH"].split(os.pathsep) if part != own)
    return variables
