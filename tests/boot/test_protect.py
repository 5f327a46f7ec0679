# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A page that the executive monitor has the STM protect: the firmware's own SMI handler tries to read it."""

from __future__ import annotations

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome

pytestmark = pytest.mark.boot

ARMED = ("-fw_cfg", "name=opt/org.stmlab/test-handler,string=1")
TIMEOUT_SECONDS = 180.0
PAGE = 0x100_0000
# On page tables of the handler's own, since those of SMM do not map the page.
READ = f"SmmTest.efi read {PAGE + 0x234:x} -own-tables"
VMCALL, EPT_VIOLATION = 18, 48
# STM_CRASH_BIOS_PANIC with the kind of violation: the firmware's handler of protection exceptions gave up.
BIOS_PANIC_PAGE = 0xC000_E001


def boot(firmware: Firmware, *script: str, processors: int = 1) -> Result:
    lines = ("ExecMon.efi start", *script, "reset -s")
    result = boot_configuration(
        Configuration.DUAL_MONITOR, firmware, lines, TIMEOUT_SECONDS, extra=ARMED, processors=processors
    )
    assert result.stream.errors == (), f"{result.run_dir}: {result.stream.errors}"
    return result


def answers(result: Result) -> list[str]:
    return [record.text("result") for record in result.stream.of("APP", "smm-test")]


def calls(result: Result) -> list[tuple[int, int]]:
    """API numbers from PROTECT_RESOURCE on, and statuses."""
    found = [(call.number("api"), call.number("status")) for call in result.stream.of("EXEC", "stm-call")]
    return [(api, status) for api, status in found if api in (0x10003, 0x10004)]


@pytest.mark.parametrize("reader", [0, 1], ids=["same-processor", "other-processor"])
def test_protected_page_is_not_read(firmware: Firmware, reader: int) -> None:
    """Read before, caught after: the firmware's exception handler says so and gives up, and the platform is reset."""
    read = f"{READ} -processor {reader}"
    result = boot(firmware, read, f"ExecMon.efi protect {PAGE:x}", read, processors=reader + 1)
    assert answers(result) == ["done"], result.run_dir
    assert calls(result) == [(0x10003, 0)], result.run_dir
    (crash,) = [record for record in result.stream.records if record.event == "crash"]
    assert (crash.source, crash.text("class")) == ("STM", "protection-exception")
    assert (crash.number("reason"), crash.number("error")) == (VMCALL, BIOS_PANIC_PAGE)
    assert crash.number("cpu") == reader
    (told,) = result.stream.of("FW", "protection-exception")
    assert told.text("kind") == "page", result.run_dir
    refused = [e for e in result.stream.of("STM", "exit") if e.number("reason") == EPT_VIOLATION]
    assert [exit_.number("address") for exit_ in refused] == [PAGE + 0x234]
    assert [exit_.number("rip") for exit_ in refused] == [told.number("rip")]
    assert result.ending.reason == "guest-reset", result.ending
    error = outcome.check_ending(result.stream, result.ending)
    assert error is not None and error.code is ExitCode.GUEST_CRASHED


def test_unprotected_page_is_read_again(firmware: Firmware) -> None:
    protected = (f"ExecMon.efi protect {PAGE:x}", f"ExecMon.efi unprotect {PAGE:x}")
    result = boot(firmware, READ, *protected, READ, "SmiTool.efi b2 2", "ExecMon.efi stop")
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    assert answers(result) == ["done"] * 2, result.run_dir
    assert calls(result) == [(0x10003, 0), (0x10004, 0)], result.run_dir
    read = [record.number("value") for record in result.stream.of("APP", "smm-test")]
    assert read[0] == read[1]


def test_smram_is_not_protected(firmware: Firmware) -> None:
    """The firmware needs it: a status, and SMIs go on."""
    tseg = boot(firmware, "StmStatus.efi").stream.of("FW", "status")[0].number("mseg_base") - 0x1000
    result = boot(firmware, f"ExecMon.efi protect {tseg:x}", "SmiTool.efi b2 2", "ExecMon.efi stop")
    assert calls(result) == [(0x10003, 0x8001_0007)], result.run_dir
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
