# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``inspect``: explain an STM image."""

from __future__ import annotations

from pathlib import Path

from build_scripts.errors import ExitCode, LabError
from build_scripts.stm_image.__main__ import main as stm_image


def inspect(image: Path) -> int:
    """Explain an MSEG image; the converter's package knows the layout.

    Raises:
        LabError: there is no such file.
    """
    if not image.is_file():
        raise LabError(f"no such file: {image}", ExitCode.USAGE)
    return ExitCode.OK if stm_image(["inspect", str(image)]) == 0 else ExitCode.USAGE
