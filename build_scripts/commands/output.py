# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Files that a command writes at its end: whether they can be written is known at its start."""

from __future__ import annotations

from pathlib import Path

from build_scripts.errors import ExitCode, LabError


def need_writable(option: str, path: Path | None) -> None:
    """Check that a file can be written, without changing it.

    Args:
        option: that named it, for the message.
        path: None if the option was not given.
    Raises:
        LabError: it cannot.
    """
    if path is None:
        return
    try:
        there = path.exists()
        if there and not path.is_file() and not path.is_dir():
            return  # a pipe or a device: opening it once more would be seen at its other end
        with path.open("ab"):
            pass
    except OSError as error:
        raise LabError(
            f"{option}: {path} cannot be written ({error.strerror})",
            ExitCode.USAGE,
            remedy="name a file in a folder that you may write",
        ) from error
    if not there:
        path.unlink()
