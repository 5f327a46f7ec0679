# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``inspect``: explain an STM image."""

from __future__ import annotations

from pathlib import Path

from build_scripts.errors import ExitCode, LabError
from build_scripts.observation import show
from build_scripts.stm_image.inspector import inspect_image, read_image


def inspect(image: Path) -> int:
    """Explain an MSEG image; the converter's package knows the layout.

    Raises:
        LabError: there is no such file, or it cannot be an image.
    """
    try:
        report = inspect_image(read_image(image))
    except FileNotFoundError as error:
        raise LabError(f"no such file: {image}", ExitCode.USAGE) from error
    except OSError as error:
        raise LabError(f"{image}: {error.strerror}", ExitCode.USAGE) from error
    except ValueError as error:
        raise LabError(f"{image}: {error}", ExitCode.USAGE) from error
    out = show.console()
    for line in report.text().splitlines():
        show.tell(out, line)
    return ExitCode.USAGE if report.problems else ExitCode.OK
