# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A drive that the firmware can read: a FAT16 file system with some files in its root folder.

Layout after Microsoft's "FAT: General Overview of On-Disk Format": boot sector, one file allocation table, root folder,
clusters. Files follow one another, so each chain is a run of numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

SECTOR = 512
_SECTORS_PER_CLUSTER = 8
CLUSTER = SECTOR * _SECTORS_PER_CLUSTER
_RESERVED_SECTORS = 1
_ROOT_ENTRIES = 512
_ENTRY = 32
_FIRST_CLUSTER = 2
# With fewer clusters the file system is FAT12, with more FAT32.
_LEAST_CLUSTERS = 4085
_MOST_CLUSTERS = 65524
_MEDIA = 0xF8
_END_OF_CHAIN = 0xFFFF


def short_name(name: str) -> bytes:
    """The eleven bytes of a folder entry.

    Raises:
        ValueError: the name is not of the form 8.3.
    """
    stem, _, extension = name.upper().partition(".")
    if not (0 < len(stem) <= 8 and len(extension) <= 3 and (stem + extension).isalnum() and name.isascii()):
        raise ValueError(f"{name}: not a name of eight and three characters")
    return stem.ljust(8).encode("ascii") + extension.ljust(3).encode("ascii")


def _clusters(size: int) -> int:
    return max(1, -(-size // CLUSTER))


def write_drive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the image of a drive.

    Args:
        files: name, of the form 8.3, to content.
    Raises:
        ValueError: a name is not of that form, or there is too much for FAT16.
    """
    clusters = max(_LEAST_CLUSTERS, sum(_clusters(len(data)) for data in files.values()))
    if clusters > _MOST_CLUSTERS or len(files) > _ROOT_ENTRIES:
        raise ValueError(f"{len(files)} files in {clusters} clusters are too much for FAT16")
    table_sectors = -(-(clusters + _FIRST_CLUSTER) * 2 // SECTOR)
    data_sector = _RESERVED_SECTORS + table_sectors + _ROOT_ENTRIES * _ENTRY // SECTOR
    sectors = data_sector + clusters * _SECTORS_PER_CLUSTER

    boot = bytearray(SECTOR)
    struct.pack_into("<3s8sHBHBHHBH", boot, 0, b"\xeb\x3c\x90", b"STMLAB  ", SECTOR, _SECTORS_PER_CLUSTER,
                     _RESERVED_SECTORS, 1, _ROOT_ENTRIES, sectors if sectors < 0x10000 else 0, _MEDIA,
                     table_sectors)  # fmt: skip
    struct.pack_into("<HHII", boot, 24, 63, 255, 0, 0 if sectors < 0x10000 else sectors)
    struct.pack_into("<BBBI11s8s", boot, 36, 0x80, 0, 0x29, 0, b"STMLAB     ", b"FAT16   ")
    boot[510:] = b"\x55\xaa"

    table = [0xFF00 | _MEDIA, _END_OF_CHAIN]
    root = bytearray(_ROOT_ENTRIES * _ENTRY)
    with path.open("wb") as image:
        for index, (name, data) in enumerate(files.items()):
            first = len(table)
            struct.pack_into("<11sB14xHI", root, index * _ENTRY, short_name(name), 0x20, first, len(data))
            table += [*range(first + 1, first + _clusters(len(data))), _END_OF_CHAIN]
            image.seek(data_sector * SECTOR + (first - _FIRST_CLUSTER) * CLUSTER)
            image.write(data)
        image.truncate(sectors * SECTOR)
        image.seek(0)
        image.write(bytes(boot) + struct.pack(f"<{len(table)}H", *table).ljust(table_sectors * SECTOR, b"\0"))
        image.write(root)
