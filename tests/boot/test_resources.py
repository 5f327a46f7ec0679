# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware's list of resources: what the executive monitor gets of it, and what a fault in it does at boot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import TSEG_MEGABYTES, Configuration
from build_scripts.observation.events import Record
from build_scripts.stm_image import layout

from .conftest import BOOT_TIMEOUT_SECONDS, BootScript

pytestmark = pytest.mark.boot

MSEG_BYTES = 2 << 20
TSEG_END = 512 << 20
TSEG = TSEG_END - (TSEG_MEGABYTES << 20)
# Launchers in the field protect these: a firmware that claims them without need has their PROTECT_RESOURCE refused.
LAUNCHERS_MSRS = {0x9B, 0x1A0, 0x176, 0x3A}
LAUNCHERS_PORTS = set(range(0x60, 0x65))


def places(record: Record) -> range:
    return range(record.number("base"), record.number("base") + record.number("length"))


def test_list_is_shown_and_recorded(boot_script: BootScript) -> None:
    result = boot_script(Configuration.DUAL_MONITOR, "ExecMon.efi start", "ExecMon.efi resources", "ExecMon.efi stop")
    claims = result.stream.of("EXEC", "bios-resource")
    (whole,) = result.stream.of("EXEC", "bios-resources")
    assert whole.number("descriptors") == len(claims) > 0 and whole.number("pages") == 1
    kinds = [record.text("type") for record in claims]
    assert set(kinds) == {"memory", "mmio", "io", "msr"}
    assert {record.number("base") for record in claims if record.text("type") == "msr"} & LAUNCHERS_MSRS == set()
    # The ways to the local APIC in x2APIC mode: identifier, interrupt command.
    x2apic = {
        record.number("base"): record.text("access") for record in claims if 0x800 <= record.number("base") < 0x900
    }
    assert x2apic == {0x802: "r", 0x830: "w"}
    for record in claims:
        if record.text("type") == "io":
            assert set(places(record)) & LAUNCHERS_PORTS == set(), record
        elif record.text("type") == "memory":
            # SMRAM is the handlers' own and needs no claim.
            assert not range(max(places(record).start, TSEG), min(places(record).stop, TSEG_END)), record
    console = (result.run_dir / "console.log").read_text(encoding="utf-8", errors="replace").splitlines()
    shown = [line for line in console if line.startswith("  ") and " 0x" in line]
    assert len(shown) == len(claims), result.run_dir
    assert max(len(line) for line in shown) <= 80


def least_room(firmware: Firmware, folder: Path, processors: int) -> Path:
    """The STM, which asks for all of the lab's MSEG but three pages."""
    data = bytearray(firmware.mseg.read_bytes())
    software = layout.read_software_header(bytes(data))
    spare = MSEG_BYTES - layout.needed_size(software, processors) - 3 * layout.PAGE
    place = layout.SOFTWARE_HEADER_OFFSET + layout.SoftwareHeader.offsets()["AdditionalDynamicMemorySize"]
    data[place : place + 4] = (software.additional_size + spare).to_bytes(4, "little")
    path = folder / "Stm.mseg"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("malformed", "resources-malformed"),
        ("outside", "resources-malformed"),
        ("mseg", "resources-unprotectable"),
        ("monitor-ctl", "resources-unprotectable"),
        ("full", "resources-incomplete"),
        ("long", "resources-too-long"),
    ],
)
def test_faulty_list_is_told_at_boot(firmware: Firmware, tmp_path: Path, fault: str, reason: str) -> None:
    """The STM would refuse to start with it; so the firmware refuses the STM, on every processor, and says why.

    A list of two pages is no fault but where MSEG is no larger than the image needs.
    """
    if fault == "long":
        firmware = replace(firmware, override=least_room(firmware, tmp_path, processors=2))
    script = ("StmStatus.efi", "Standby.efi report", "ExecMon.efi start", "SmiTool.efi b2 2", "ExecMon.efi stop")
    result = boot_configuration(
        Configuration.DUAL_MONITOR,
        firmware,
        (*script, "reset -s"),
        BOOT_TIMEOUT_SECONDS,
        extra=("-fw_cfg", f"name=opt/org.stmlab/test-resources,string={fault}"),
        processors=2,
    )
    assert result.ending.requested and result.stream.errors == (), f"{result.run_dir}: {result.ending}"
    states = [(record.text("state"), record.text("reason")) for record in result.stream.of("FW", "status")]
    assert states == [("enabled", "none"), ("refused", reason)], result.run_dir
    (table,) = result.stream.of("APP", "stm-status")
    assert (table.text("state"), table.text("reason")) == ("refused", reason)
    # Nobody can activate the STM: MSR 9BH is 0 on both processors, and the executive monitor goes on without it.
    assert [record.number("value") for record in result.stream.of("APP", "smm-monitor-ctl")] == [0, 0], result.run_dir
    assert [record.text("reason") for record in result.stream.of("EXEC", "no-stm")] == [reason]
    assert result.stream.of("STM", "init") == []
