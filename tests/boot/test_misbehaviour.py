# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SMI handlers that do what they must not, and an image that was changed behind the loader's back.

The firmware's test handler (StmPkg/Firmware/TestHandler) misbehaves on request of
``SmmTest.efi``, and only on a machine whose owner arms it.
"""

from __future__ import annotations

import re

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import crash, outcome
from build_scripts.observation.events import Kind, Mode, Record
from build_scripts.observation.report import group_smis

pytestmark = pytest.mark.boot

ARMED = ("-fw_cfg", "name=opt/org.stmlab/test-handler,string=1")
TIMEOUT_SECONDS = 120.0
EXIT_CPUID, EXIT_CR_ACCESS, EXIT_EPT_VIOLATION = 10, 28, 48
# STM_EVENT of the STM's headers.
EVENT_SMI = 1
# The last bytes of the read-only data: changed, but never executed.
PADDING_OFFSET = "6ff0"


def boot_armed(firmware: Firmware, configuration: Configuration, *script: str, processors: int = 1) -> Result:
    result = boot_configuration(
        configuration, firmware, (*script, "reset -s"), TIMEOUT_SECONDS, extra=ARMED, processors=processors
    )
    assert result.stream.errors == (), f"{result.run_dir}: {result.stream.errors}"
    return result


def answers(result: Result) -> list[tuple[str, str]]:
    return [(record.text("cmd"), record.text("result")) for record in result.stream.of("APP", "smm-test")]


def exceptions(result: Result) -> list[str]:
    return [record.text("exception") for record in result.stream.of("APP", "smm-test")]


def only_crash(result: Result) -> Record:
    crashes = [record for record in result.stream.records if record.event == "crash"]
    assert len(crashes) == 1 and result.ending.reason == "guest-reset", f"{result.run_dir}: {result.ending} {crashes}"
    error = outcome.check_ending(result.stream, result.ending)
    assert error is not None and error.code is ExitCode.GUEST_CRASHED
    return crashes[0]


@pytest.fixture(scope="module")
def under_stm(firmware: Firmware) -> Result:
    # Page tables of SMM stop the first two, EPT the next two: a handler that loads its own is still a guest.
    commands = (
        *("mseg-read", "mseg-write 1000 55"),
        *("mseg-read -own-tables", "mseg-write 1000 55 -own-tables"),
        "cpuid",
    )
    script = ("ExecMon.efi start", *(f"SmmTest.efi {command}" for command in commands), "ExecMon.efi stop")
    result = boot_armed(firmware, Configuration.DUAL_MONITOR, *script, "ExecMon.efi start", "ExecMon.efi stop")
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    return result


def test_handler_cannot_reach_mseg(under_stm: Result) -> None:
    assert answers(under_stm)[:4] == [("mseg-read", "faulted"), ("mseg-write", "faulted")] * 2
    assert exceptions(under_stm)[:4] == ["#PF", "#PF", "#GP", "#GP"]
    status = under_stm.stream.of("FW", "status")[0]
    refused = [e for e in under_stm.stream.of("STM", "exit") if e.number("reason") == EXIT_EPT_VIOLATION]
    base = status.number("mseg_base")
    assert [record.number("address") for record in refused] == [base, base + 0x1000]


def test_exits_of_the_handler_are_listed(under_stm: Result) -> None:
    assert answers(under_stm)[4] == ("cpuid", "done")
    extra = [exit_ for smi in group_smis(under_stm.stream.transitions) for exit_ in smi.extra_exits]
    # Other page tables are an exit, the way back to those of the PSD is none.
    own_tables = [EXIT_CR_ACCESS, EXIT_EPT_VIOLATION]
    assert [exit_.reason & 0xFFFF for exit_ in extra] == [*own_tables, *own_tables, EXIT_CPUID]
    recorded = under_stm.stream.of("STM", "exit")
    assert [exit_.rip for exit_ in extra] == [record.number("rip") for record in recorded]


def test_refused_write_left_mseg_as_it_was(under_stm: Result) -> None:
    status = under_stm.stream.of("FW", "status")[0]
    launches = [record.text("mseg_sha256") for record in under_stm.stream.of("STM", "init")]
    assert launches == [status.text("mseg_sha256")] * 2


def test_other_processor_cannot_reach_mseg(firmware: Firmware) -> None:
    accesses = [
        f"SmmTest.efi {access} -processor {processor}"
        for access in ("mseg-read", "mseg-write 1000 55")
        for processor in (0, 1)
    ]
    # First the handlers run outside the treatment, then under the STM, on both processors.
    script = (*accesses, "ExecMon.efi start", *accesses, "ExecMon.efi stop", "ExecMon.efi start", "ExecMon.efi stop")
    result = boot_armed(firmware, Configuration.DUAL_MONITOR, *script, processors=2)
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    tried = [(record.number("processor"), record.text("tables")) for record in result.stream.of("APP", "smm-test")]
    assert tried == [(0, "smm"), (1, "smm")] * 4, result.run_dir
    assert {answer for _command, answer in answers(result)} == {"faulted"}, result.run_dir
    assert set(exceptions(result)) == {"#PF"}, result.run_dir
    assert result.stream.of("STM", "exit") == []
    served = {(step.cpu, step.target) for step in result.stream.transitions if step.kind in (Kind.SMM_EXIT, Kind.SMI)}
    assert served == {(cpu, mode) for cpu in (0, 1) for mode in (Mode.SMM, Mode.STM)}, result.run_dir
    status = result.stream.of("FW", "status")[0]
    launches = [record.text("mseg_sha256") for record in result.stream.of("STM", "init")]
    assert launches == [status.text("mseg_sha256")] * 2 * 2, "two launches of two processors"


def test_no_such_processor(firmware: Firmware) -> None:
    result = boot_armed(firmware, Configuration.DUAL_MONITOR, "SmmTest.efi mseg-read -processor 1")
    assert answers(result) == [("mseg-read", "rejected")]


def test_without_an_image_mseg_is_ordinary_smram(firmware: Firmware) -> None:
    result = boot_armed(firmware, Configuration.STOCK, "SmmTest.efi mseg-read", "SmmTest.efi cpuid")
    assert answers(result) == [("mseg-read", "done"), ("cpuid", "done")]


def test_unarmed_handler_does_not_exist(firmware: Firmware) -> None:
    result = boot_configuration(Configuration.STOCK, firmware, ("SmmTest.efi mseg-read", "reset -s"), TIMEOUT_SECONDS)
    assert answers(result) == [("mseg-read", "no-handler")]


def test_triple_fault_in_the_handler_is_a_crash(firmware: Firmware) -> None:
    script = ("ExecMon.efi start", "SmmTest.efi triple-fault")
    found = only_crash(boot_armed(firmware, Configuration.DUAL_MONITOR, *script))
    assert found.text("class") == "handler-triple-fault"


@pytest.mark.parametrize("command", ["halt", "loop"])
def test_endless_handler_is_a_crash(firmware: Firmware, command: str) -> None:
    """The STM tells who held the processor, and the lab in whose code that was."""
    script = ("ExecMon.efi start", f"SmmTest.efi {command}")
    result = boot_armed(firmware, Configuration.DUAL_MONITOR, *script)
    found = only_crash(result)
    assert (found.text("class"), found.number("error")) == ("handler-timeout", EVENT_SMI)
    explained = "\n".join(crash.explain(found, result.stream, result.run_dir, firmware.symbols))
    assert "the SMI handler ran longer than PcdStmHandlerLimit allows" in explained
    assert re.search(r"RIP 0x[0-9a-f]+: in TestHandlerSmm", explained), explained


def test_changed_image_is_not_started(firmware: Firmware) -> None:
    # SMM's page tables stop errors; whoever runs at CPL 0 outside the STM can load others.
    script = (f"SmmTest.efi mseg-write {PADDING_OFFSET} 55 -own-tables", "ExecMon.efi start")
    result = boot_armed(firmware, Configuration.DUAL_MONITOR, *script)
    assert answers(result) == [("mseg-write", "done")]
    assert only_crash(result).text("class") == "image-modified"
    assert result.stream.of("STM", "init") == []
