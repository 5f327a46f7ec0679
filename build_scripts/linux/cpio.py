# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Archives in the format that the kernel unpacks as its first file system ("newc" cpio)."""

from __future__ import annotations

from collections.abc import Mapping

_MAGIC = b"070701"
_FOLDER = 0o040755
_FILE = 0o100644
_PROGRAM = 0o100755
_TRAILER = "TRAILER!!!"


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    text = name.encode("ascii") + b"\0"
    # inode, mode, owner, group, links, time, size, device (2), special device (2), length of the name, checksum
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0)
    return _padded(_MAGIC + b"".join(b"%08X" % field for field in fields) + text) + _padded(data)


def archive(folders: tuple[str, ...], files: Mapping[str, bytes], programs: tuple[str, ...]) -> bytes:
    """Pack folders and files; the same content gives the same bytes.

    Args:
        folders: parents before children.
        files: path to content.
        programs: which of the files can be executed.
    """
    entries = [(name, _FOLDER, b"") for name in folders]
    entries += [(name, _PROGRAM if name in programs else _FILE, data) for name, data in files.items()]
    entries.append((_TRAILER, 0, b""))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))
