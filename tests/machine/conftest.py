# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine under test: one fixture gives the extended QEMU's binary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from build_scripts.builds import qemu_build
from build_scripts.conformance.image_build import missing_tools


@pytest.fixture(scope="session")
def qemu() -> Path:
    """The extended QEMU: STMLAB_QEMU, else what the lab has built or builds."""
    if missing := missing_tools():
        pytest.fail(f"the images need {', '.join(missing)}", pytrace=False)
    named = os.environ.get("STMLAB_QEMU")
    if not named:
        return qemu_build.extended_qemu()
    path = Path(named)
    if not path.exists():
        pytest.fail(f"STMLAB_QEMU={named} does not exist", pytrace=False)
    return path
