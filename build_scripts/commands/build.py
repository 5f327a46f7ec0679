# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``build``: build machine and firmware, and say where they are."""

from __future__ import annotations

from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.builds.stm_build import build_all
from build_scripts.errors import ExitCode


def build(target: str) -> int:
    """Build what is missing for a flavour of the firmware.

    Raises:
        LabError: a source could not be obtained, or a build failed.
    """
    print(f"machine: {extended_qemu()}")
    firmware = build_all(target)
    print(f"firmware: {firmware.code}\nSTM image: {firmware.mseg}")
    return ExitCode.OK
