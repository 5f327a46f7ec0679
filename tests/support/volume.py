# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Changes bytes of a file in the firmware volume of an image, whose volumes are compressed."""

from __future__ import annotations

import lzma
import struct
from uuid import UUID

# PI specification, volume 3: a section with a GUID that says how its content is to be decoded.
GUIDED_SECTION = 0x02
LZMA_GUID = UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf")
# Section header (size of 3 bytes, type), GUID, offset of the data, attributes.
HEADER = struct.Struct("<3sB16sHH")
# As edk2's LzmaCompress has them.
FILTERS = [
    {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 24, "lc": 3, "lp": 0, "pb": 2}
]


def change(image: bytes, old: bytes, new: bytes) -> bytes:
    """Replace one string by another of the same length in the compressed volumes.

    What follows the compressed data in its section stays, so the new data must not be longer.

    Raises:
        ValueError: `old` is not there exactly once, or the result does not fit its section.
    """
    if len(old) != len(new):
        raise ValueError("the lengths differ")
    place = image.find(LZMA_GUID.bytes_le) - 4
    if place < 0:
        raise ValueError("no compressed section")
    size, kind, _, offset, _ = HEADER.unpack_from(image, place)
    length = int.from_bytes(size, "little")
    if kind != GUIDED_SECTION:
        raise ValueError("not a section with a GUID")
    packed = image[place + offset : place + length]
    volumes = lzma.decompress(packed, lzma.FORMAT_ALONE)
    if volumes.count(old) != 1:
        raise ValueError(f"what is to be changed is there {volumes.count(old)} times")
    again = bytearray(lzma.compress(volumes.replace(old, new), lzma.FORMAT_ALONE, filters=FILTERS))
    # edk2's decoder wants the size that Python leaves open.
    again[5:13] = len(volumes).to_bytes(8, "little")
    if len(again) > len(packed):
        raise ValueError(f"{len(again)} bytes do not fit {len(packed)}")
    return image[: place + offset] + bytes(again).ljust(len(packed), b"\0") + image[place + length :]
