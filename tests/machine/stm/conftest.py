# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM that the images of this folder load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import build_firmware


@pytest.fixture(scope="session")
def mseg() -> Path:
    """The STM as it goes into the firmware: STMLAB_MSEG, else what the lab has built or builds."""
    named = os.environ.get("STMLAB_MSEG")
    return Path(named).resolve() if named else build_firmware().mseg
