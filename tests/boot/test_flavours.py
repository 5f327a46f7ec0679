# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The flavours of the firmware that the lab does not boot by itself: RELEASE and NOOPT."""

from __future__ import annotations

from dataclasses import replace

import pytest

from build_scripts.builds.firmware_build import Firmware, build_firmware
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome

from .conftest import BOOT_TIMEOUT_SECONDS

pytestmark = [pytest.mark.boot, pytest.mark.long]

SCRIPT = ("StmStatus.efi", "ExecMon.efi start", "SmiTool.efi b2 3", "ExecMon.efi stop", "reset -s")


@pytest.mark.parametrize("target", ["RELEASE", "NOOPT"])
def test_it_builds_and_runs_the_stm(target: str) -> None:
    result = boot_configuration(Configuration.DUAL_MONITOR, build_firmware(target), SCRIPT, BOOT_TIMEOUT_SECONDS)
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    assert outcome.command_problems(result.stream) == [], result.run_dir
    assert [status.text("state") for status in result.stream.of("FW", "status")] == ["enabled"]
    assert [record for record in result.stream.records if record.event == "crash"] == []
    assert len(result.stream.of("STM", "start")) == len(result.stream.of("STM", "stop")) == 1


def test_release_takes_no_image_from_fw_cfg(firmware: Firmware) -> None:
    """It runs no STM at all then, and says why; the executive monitor goes on without one."""
    release = replace(build_firmware("RELEASE"), override=firmware.mseg)
    result = boot_configuration(Configuration.DUAL_MONITOR, release, SCRIPT, BOOT_TIMEOUT_SECONDS)
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    status = result.stream.of("FW", "status")[0]
    assert (status.text("state"), status.text("reason")) == ("refused", "override-forbidden")
    assert [record.text("reason") for record in result.stream.of("EXEC", "no-stm")] == ["override-forbidden"]
    assert result.stream.of("STM", "start") == []
