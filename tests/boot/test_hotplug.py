# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A processor plugged in while the firmware runs: refused with a reason, and SMIs go on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from qemu.qmp.error import QMPError

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import find_qemu
from build_scripts.machine.machine import Machine
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation.events import read_stream
from build_scripts.processes import TimeLimit

from .conftest import BOOT_TIMEOUT_SECONDS

# More than can have run when the first is seen in the log.
SCRIPT = ("StmStatus.efi", *["SmiTool.efi demo"] * 10, "reset -s")


def _wait_for_script(records: Path, process: int) -> None:
    """Wait until the Shell runs the script; the boot's own time-out ends a guest that does not come so far."""
    limit = TimeLimit(process, BOOT_TIMEOUT_SECONDS)
    while not (records.is_file() and "ev=script " in records.read_text(errors="replace")):
        assert limit.left() > 0, records
        time.sleep(0.05)


@pytest.mark.parametrize("configuration", [Configuration.NO_DUAL_MONITOR, Configuration.DUAL_MONITOR])
def test_processor_cannot_be_plugged_and_smis_go_on(firmware: Firmware, configuration: Configuration) -> None:
    run_dir = paths.new_run_dir("hotplug")
    guest = Guest(
        qemu=find_qemu(configuration),
        cpu=configuration.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=SCRIPT,
        extra=("-smp", "1,maxcpus=2"),
    )
    with Machine(guest, run_dir) as machine:
        machine.resume()
        _wait_for_script(run_dir / "records.log", machine.pid)
        machine.qmp("stop")
        before = read_stream(run_dir)
        absent = [slot for slot in machine.qmp("query-hotpluggable-cpus") if "qom-path" not in slot]
        assert len(absent) == 1
        with pytest.raises(QMPError, match="hotplug with SMI wasn't enabled by firmware"):
            machine.qmp("device_add", {"driver": absent[0]["type"], "id": "second", **absent[0]["props"]})
        machine.resume()
        ending = machine.wait(BOOT_TIMEOUT_SECONDS)
    assert ending.requested, run_dir
    after = read_stream(run_dir)
    assert after.errors == ()
    assert len(after.of("APP", "variable")) > len(before.of("APP", "variable")), "no SMI after the attempt"
