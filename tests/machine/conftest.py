# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine under test: one fixture gives the extended QEMU's binary."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.builds import qemu_build
from build_scripts.conformance.image_build import need_images
from build_scripts.errors import LabError


@pytest.fixture(scope="session")
def qemu() -> Path:
    """The extended QEMU: STMLAB_QEMU, else what the lab has built or builds."""
    try:
        need_images()
        return qemu_build.find_machine()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)
