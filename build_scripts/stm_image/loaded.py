# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM image as its loader leaves it in MSEG."""

from __future__ import annotations

import hashlib
import struct

from build_scripts.stm_image import layout
from build_scripts.stm_image.inspector import inspect_image


def loaded_digest(data: bytes, mseg_base: int) -> bytes:
    """SHA-256 of MSEG's static part: the file up to StaticImageSize, relocated.

    Args:
        data: a sound image file.
        mseg_base: physical address of MSEG.
    """
    report = inspect_image(data)
    assert report.problems == ()
    static = bytearray(data[: report.software.static_image_size])
    for offset in report.relocations:
        (value,) = struct.unpack_from("<Q", static, layout.IMAGE_OFFSET + offset)
        struct.pack_into("<Q", static, layout.IMAGE_OFFSET + offset, value + mseg_base + layout.IMAGE_OFFSET)
    return hashlib.sha256(static).digest()
