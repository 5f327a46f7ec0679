# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``build``: build machine and firmware, and say where they are."""

from __future__ import annotations

from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.builds.stm_build import build_all
from build_scripts.errors import ExitCode
from build_scripts.progress import show_output


def build(target: str, verbose: bool = False) -> int:
    """Build what is missing for a flavour of the firmware.

    Args:
        target: the flavour.
        verbose: show what the builds print.
    Raises:
        LabError: a source could not be obtained, or a build failed.
    """
    if verbose:
        show_output()
    print(f"machine: {extended_qemu()}")
    firmware = build_all(target)
    print(f"firmware: {firmware.code}\nSTM image: {firmware.mseg}")
    return ExitCode.OK
