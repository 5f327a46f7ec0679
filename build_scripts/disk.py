# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A full, read-only or forbidden disk: what the system's error means and what mends it.

Standard library only: the bootstrap writes before any package is installed.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError

_LITTLE = 1024**2  # with less than this nothing gets done
_FREE = "free some, or set XDG_CACHE_HOME and XDG_STATE_HOME to a larger disk"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


def full_places() -> list[Path]:
    """Those of the folders that the lab writes to that have no room left."""
    bases = [
        paths.base_of("XDG_CACHE_HOME"),
        paths.base_of("XDG_STATE_HOME"),
        paths.CHECKOUT,
        Path(tempfile.gettempdir()),
    ]
    found = []
    for base in bases:
        existing = next(place for place in (base, *base.parents) if place.exists())
        if shutil.disk_usage(existing).free < _LITTLE:
            found.append(base)
    return found


def remedy_if_full() -> str:
    """What mends a failure whose cause is a full disk; empty if no disk is full."""
    places = full_places()
    return f"no space left in {', '.join(map(str, places))}: {_FREE}" if places else ""


def explained(error: OSError) -> LabError | None:
    """The one clear error that stands for the system's; None if that has another cause, and is a defect of ours."""
    name = "" if error.filename is None else f"{error.filename}: "
    message = f"{name}{error.strerror}"
    if error.errno in _FULL:
        return LabError(message, ExitCode.BUILD_FAILED, remedy=remedy_if_full() or _FREE)
    if error.errno in _FORBIDDEN:
        remedy = "make it writable, or set XDG_CACHE_HOME and XDG_STATE_HOME to folders of your own; "
        remedy += "STMLAB_SHARED_CACHE names a cache to read"
        return LabError(message, ExitCode.BUILD_FAILED, remedy=remedy)
    return None
