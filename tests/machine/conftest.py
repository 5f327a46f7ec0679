# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine under test: one fixture gives the extended QEMU's binary."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def qemu() -> Path:
    """The extended QEMU: STMLAB_QEMU, else what the lab has built or builds."""
    named = os.environ.get("STMLAB_QEMU")
    if named:
        path = Path(named)
        if not path.exists():
            pytest.fail(f"STMLAB_QEMU={named} does not exist")
        return path
    module = importlib.import_module("build_scripts.qemu_build")
    return Path(module.extended_qemu())
