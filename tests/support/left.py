# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a run may have left running."""

from __future__ import annotations

from pathlib import Path


def processes_in(folder: Path) -> list[str]:
    """What runs with this working directory, by its command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found.append((process / "comm").read_text().strip())
        except OSError:
            continue  # it has just ended
    return found
