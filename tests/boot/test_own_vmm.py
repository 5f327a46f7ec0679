# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The example of the page on launching: a VMM of one's own as a UEFI application."""

from __future__ import annotations

import pytest

from build_scripts.builds.stm_build import firmware_to_boot
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.machine import CONSOLE_LOG
from build_scripts.machine.processors import Configuration

pytestmark = pytest.mark.boot

TIMEOUT_SECONDS = 300.0
# Two sessions of it, one behind a wake, and one of the lab's executive monitor: nothing was left behind.
SCRIPT = (
    *("OwnVmm.efi", "OwnVmm.efi", "Standby.efi s3", "Standby.efi report"),
    *("OwnVmm.efi", "ExecMon.efi start", "ExecMon.efi stop", "reset -s"),
)
SESSIONS, PROCESSORS, SMIS = 3, 2, 2


@pytest.fixture(scope="module")
def result() -> Result:
    configuration, firmware = Configuration.DUAL_MONITOR, firmware_to_boot()
    made = boot_configuration(configuration, firmware, SCRIPT, TIMEOUT_SECONDS, processors=PROCESSORS)
    assert made.ending.requested, made.run_dir
    return made


def test_every_command_succeeds(result: Result) -> None:
    statuses = [record.number("status") for record in result.stream.of("APP", "script-status")]
    assert statuses == [0] * (len(SCRIPT) - 1), result.run_dir


def test_it_activates_starts_and_stops_on_every_processor(result: Result) -> None:
    for cpu in range(PROCESSORS):
        own = [one.event for one in result.stream.records if one.source == "STM" and one.number("cpu") == cpu]
        lifecycle = ["init", "start", "stop"] * (SESSIONS + 1)
        assert [event for event in own if event in ("init", "start", "stop")] == lifecycle


def test_it_gives_its_pages_back(result: Result) -> None:
    """So each session gets the same ones; this is the VMXON region of each processor."""
    for cpu in range(PROCESSORS):
        starts = [record for record in result.stream.of("STM", "init") if record.number("cpu") == cpu]
        regions = [record.number("exec_vmxon") for record in starts[:SESSIONS]]
        assert len(regions) == SESSIONS and len(set(regions)) == 1, regions


def test_it_says_what_it_called(result: Result) -> None:
    """Each call is answered with EAX 0 and CF clear, PROTECT_RESOURCE between the first and START."""
    console = (result.run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    calls = [line for line in console.replace("\r", "").split("\n") if line.startswith("OwnVmm: call")]
    assert [line.split()[2].rstrip(":") for line in calls] == ["0x10007", "0x10003", "0x10001", "0x10002"] * SESSIONS
    assert all("EAX 0x00000000" in line for line in calls), calls
    assert console.count(f"OwnVmm: {SMIS} SMIs under the STM, on {PROCESSORS - 1} other processors") == SESSIONS


def test_its_smis_went_to_the_stm(result: Result) -> None:
    """On every processor: the chipset sends each SMI to all of them."""
    for cpu in range(PROCESSORS):
        stops = [record for record in result.stream.of("STM", "stop") if record.number("cpu") == cpu]
        assert [record.number("smis") for record in stops[:SESSIONS]] == [SMIS] * SESSIONS
