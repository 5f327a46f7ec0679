# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which run directories belong together: an experiment may boot several times, each boot in a directory of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from build_scripts.observation.events import MACHINE_LOG, RECORD_LOGS

# In each directory of a run with several: the names of all, one a line, in the order of the boots.
BOOTS_FILE = "boots"


def has_records(folder: Path) -> bool:
    """Whether a folder is the directory of a run, with anything in it that can be shown."""
    try:
        return any((folder / name).is_file() for name in (*RECORD_LOGS, MACHINE_LOG))
    except (OSError, ValueError):
        return False  # no name that a folder could have


def keep_together(run_dirs: Sequence[Path]) -> None:
    """Note in each directory of a run which ones there are; one alone needs no note."""
    if len(run_dirs) < 2:
        return
    names = "".join(f"{path.name}\n" for path in run_dirs)
    for path in run_dirs:
        # Another run may remove an old directory at any time.
        with contextlib.suppress(FileNotFoundError):
            (path / BOOTS_FILE).write_text(names, encoding="utf-8")


def boots_of(run_dir: Path) -> list[Path]:
    """All directories of the run that one belongs to, in the order of the boots, without what has been removed.

    Raises:
        OSError: the note cannot be read.
    """
    try:
        names = (run_dir / BOOTS_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return [run_dir]
    found = [path for name in names if name == Path(name).name and (path := run_dir.parent / name).is_dir()]
    return found if run_dir in found else [run_dir]
