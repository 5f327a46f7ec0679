# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a bundle is for: processor, C library and Python of the system, and room on its disk.

Standard library only.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from build_scripts.bundles.archive import Bundle
from build_scripts.bundles.environment import kind_of_python
from build_scripts.errors import ExitCode, LabError

# Beyond the bundle's own, for runs and an exercise's build.
_SPARE = 200 * 1024**2


def _c_library() -> str:
    """The version of glibc; empty if this system has another C library."""
    words = (os.confstr("CS_GNU_LIBC_VERSION") or "") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    return words.removeprefix("glibc ")


def facts() -> dict[str, Any]:
    """What of this system decides where its programs run."""
    return {"architecture": platform.machine(), "glibc": _c_library(), "python": kind_of_python()}


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def need_same(bundle: Bundle) -> None:
    """Check that the bundle's programs run here.

    Raises:
        LabError: they do not; the message says why.
    """
    own = facts()
    wanted = {name: str(bundle.header[name]) for name in own}
    remedy = "export one on a system like this: python3 -m build_scripts bundle export FILE"
    reason = ""
    if wanted["architecture"] != own["architecture"]:
        reason = f"is for {wanted['architecture']}, and this is {own['architecture']}"
    elif not own["glibc"] or _number(own["glibc"]) < _number(wanted["glibc"]):
        reason = f"needs glibc {wanted['glibc']} or later, and this system has {own['glibc'] or 'another C library'}"
    elif wanted["python"] != own["python"]:
        reason = f"holds packages for {wanted['python']}, and this is {own['python']}"
    if reason:
        raise LabError(f"{bundle.archive} {reason}", ExitCode.USAGE, remedy=remedy)


def need_room(bundle: Bundle, folder: Path, parts: Iterable[str]) -> None:
    """Check that the disk of a folder has room for what is still to be unpacked.

    Args:
        parts: of the bundle, such as ``machine``.
    Raises:
        LabError: it has not.
    """
    wanted = bundle.size(*parts) + _SPARE
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise LabError(
            f"{folder} has {free // 1024**2:,} MB free, and {bundle.archive.name} needs {wanted // 1024**2:,}",
            ExitCode.BUILD_FAILED,
            remedy="free some, or set XDG_CACHE_HOME to a larger disk",
        )
