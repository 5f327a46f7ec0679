# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's optional policies under the real firmware with four processors: SMIs are served, and variables stay."""

from __future__ import annotations

import pytest

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome

pytestmark = [pytest.mark.boot, pytest.mark.long]
PROCESSORS = 4
SCRIPT = ("ExecMon.efi start", "SmiTool.efi variable", "SmiTool.efi variable", "ExecMon.efi stop", "reset -s")


@pytest.mark.parametrize(("name", "value"), [("stm-rendezvous", "20000"), ("stm-snapshot", "128")])
def test_variables_are_served(name: str, value: str) -> None:
    """Under rendezvous nobody is late; under snapshot the VM exits are for copies, on one processor."""
    extra = ("-fw_cfg", f"name=opt/org.stmlab/{name},string={value}")
    firmware = build_firmware()
    result = boot_configuration(Configuration.DUAL_MONITOR, firmware, SCRIPT, 180.0, extra, processors=PROCESSORS)
    assert outcome.check_ending(result.stream, result.ending) is None
    variables = result.stream.of("APP", "variable")
    assert [(one.number("written"), one.number("read_back")) for one in variables] == [(1, 1)] * 2
    assert list(result.stream.of("STM", "rendezvous-late")) == list(result.stream.of("STM", "crash")) == []
    stops = list(result.stream.of("STM", "stop"))
    assert len(stops) == PROCESSORS and min(stop.number("smis") for stop in stops) > 0
    touching = sum(stop.number("exits") > 0 for stop in stops)
    assert touching == (1 if name == "stm-snapshot" else 0)
