# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM image as its loader leaves it in MSEG."""

from __future__ import annotations

import hashlib

from build_scripts.stm_image.inspector import inspect_image


def loaded_digest(data: bytes) -> bytes:
    """SHA-256 of MSEG's static part: the file up to StaticImageSize.

    Args:
        data: a sound image file.
    """
    report = inspect_image(data)
    assert report.problems == ()
    return hashlib.sha256(data[: report.software.static_image_size]).digest()
