# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The example of the page on launching: a VMM of one's own as a UEFI application."""

from __future__ import annotations

import pytest

from build_scripts.builds.stm_build import firmware_to_boot
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.machine import CONSOLE_LOG
from build_scripts.machine.processors import Configuration
from build_scripts.observation.report import group_smis

pytestmark = pytest.mark.boot

TIMEOUT_SECONDS = 300.0
SCRIPT = ("OwnVmm.efi", "OwnVmm.efi", "ExecMon.efi start", "ExecMon.efi stop", "reset -s")


@pytest.fixture(scope="module")
def result() -> Result:
    """Two sessions of it, and then one of the lab's executive monitor: nothing was left behind."""
    made = boot_configuration(Configuration.DUAL_MONITOR, firmware_to_boot(), SCRIPT, TIMEOUT_SECONDS)
    assert made.ending.requested, made.run_dir
    return made


def test_every_command_succeeds(result: Result) -> None:
    statuses = [record.number("status") for record in result.stream.of("APP", "script-status")]
    assert statuses == [0] * (len(SCRIPT) - 1), result.run_dir


def test_it_activates_starts_and_stops(result: Result) -> None:
    found = [record.event for record in result.stream.records if record.source == "STM"]
    assert [event for event in found if event in ("init", "start", "stop")] == ["init", "start", "stop"] * 3


def test_it_says_what_it_called(result: Result) -> None:
    """Each call is answered with EAX 0 and CF clear, PROTECT_RESOURCE between the first and START."""
    console = (result.run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    calls = [line for line in console.replace("\r", "").split("\n") if line.startswith("OwnVmm: call")]
    assert [line.split()[2].rstrip(":") for line in calls] == ["0x10007", "0x10003", "0x10001", "0x10002"] * 2
    assert all("EAX 0x00000000" in line for line in calls), calls
    assert console.count("OwnVmm: 2 SMIs under the STM") == 2


def test_its_smis_went_to_the_stm(result: Result) -> None:
    stops = [record.t for record in result.stream.of("STM", "stop")]
    smis = [smi for smi in group_smis(result.stream.transitions) if smi.dual_monitor and smi.t < stops[1]]
    assert len(smis) == 4
