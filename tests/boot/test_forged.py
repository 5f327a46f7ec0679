# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Records of the STM and a status of the firmware's that a guest writes: nobody takes them for theirs."""

from __future__ import annotations

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import Configuration

pytestmark = pytest.mark.boot

TIMEOUT_SECONDS = 180.0
FORGED = "class=forged"
PROCESSORS, LAUNCHES = 2, 2


def test_forged_records(firmware: Firmware) -> None:
    """Before the start, as a guest, and after the stop: each is found at the ports that it reached.

    The status says meanwhile that the STM was refused. The executive monitor asks the processor, at boot and at a wake.
    """
    forge = "GuestTool.efi forge"
    start = ("GuestTool.efi forge-status", "ExecMon.efi start")
    first = (forge, *start, forge, "SmiTool.efi b2 2", "ExecMon.efi stop", forge, "StmStatus.efi")
    script = (*first, "Standby.efi s3", "Standby.efi report", *start, "ExecMon.efi stop", "reset -s")
    configuration = Configuration.DUAL_MONITOR
    result = boot_configuration(configuration, firmware, script, TIMEOUT_SECONDS, processors=PROCESSORS)
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    stream = result.stream
    assert stream.first("STM", "crash") is None, result.run_dir
    assert FORGED not in (result.run_dir / "stm.log").read_text(encoding="ascii")
    # It wrote them: to the ports of the executive monitor and of the firmware they came.
    assert sorted(error.log for error in stream.errors) == ["executive.log"] * 3 + ["records.log"] * 3
    assert all("forged" in str(error) for error in stream.errors)
    assert "state:        refused" in (result.run_dir / "console.log").read_text(errors="replace")
    assert stream.of("EXEC", "no-stm") == []
    # The STM's own are there.
    assert len(stream.of("STM", "start")) == LAUNCHES * PROCESSORS
    assert len(stream.of("STM", "stop")) == LAUNCHES * PROCESSORS
