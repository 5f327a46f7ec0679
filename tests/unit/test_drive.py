# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The drive that the firmware boots Linux from: what is read back is what was written."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from build_scripts.errors import LabError
from build_scripts.linux.drive import write_drive

VOLUME_LABEL = 0x08


def read_files(image: bytes) -> dict[bytes, bytes]:
    """The files of the root folder, by the format's own rules."""
    size, per_cluster, reserved, tables, entries, small, table_sectors = struct.unpack_from("<HBHBHH1xH", image, 11)
    sectors = small or struct.unpack_from("<I", image, 32)[0]
    root = (reserved + tables * table_sectors) * size
    data = root + entries * 32
    clusters = (sectors - data // size) // per_cluster
    assert len(image) == sectors * size and image[510:512] == b"\x55\xaa"
    assert 4085 <= clusters <= 65524, "the number of clusters is what makes it FAT16"
    table = struct.unpack_from(f"<{clusters + 2}H", image, reserved * size)
    files = {}
    for offset in range(root, data, 32):
        name, kind, cluster, length = struct.unpack_from("<11sB14xHI", image, offset)
        if name[0] == 0:
            break
        if kind & VOLUME_LABEL:
            continue
        content = bytearray()
        while 0 < cluster < 0xFFF8:
            start = data + (cluster - 2) * per_cluster * size
            content += image[start : start + per_cluster * size]
            cluster = table[cluster]
        files[name] = bytes(content[:length])
    return files


@pytest.mark.parametrize("sizes", [(0, 1), (4096, 4097), (20_000_000, 300)])
def test_files_are_read_back(sizes: tuple[int, int], tmp_path: Path) -> None:
    contents = [bytes(range(256)) * (size // 256) + b"x" * (size % 256) for size in sizes]
    write_drive(tmp_path / "drive", {"vmlinuz.efi": contents[0], "initrd": contents[1]})
    assert read_files((tmp_path / "drive").read_bytes()) == {b"VMLINUZ EFI": contents[0], b"INITRD     ": contents[1]}


def test_refusal_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="mcopy made no drive for the firmware: "):
        write_drive(tmp_path / "drive", {"no/such/folder": b""})
