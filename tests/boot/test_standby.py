# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Standby (S3) without a monitor: what the firmware does at a wake, and what the STM can be used for then."""

from __future__ import annotations

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.first_light import EXPECTED_STATUS
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome
from build_scripts.observation.events import MachineEvent
from build_scripts.observation.report import group_smis

from .conftest import BOOT_TIMEOUT_SECONDS
from .test_misbehaviour import ARMED, PADDING_OFFSET

pytestmark = pytest.mark.boot

VALID = 1


def boot(
    firmware: Firmware,
    *script: str,
    configuration: Configuration = Configuration.DUAL_MONITOR,
    processors: int = 1,
    extra: tuple[str, ...] = (),
    timeout: float = BOOT_TIMEOUT_SECONDS,
) -> Result:
    result = boot_configuration(configuration, firmware, (*script, "reset -s"), timeout, extra, processors=processors)
    assert result.stream.errors == (), f"{result.run_dir}: {result.stream.errors}"
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    assert outcome.command_problems(result.stream) == [], result.run_dir
    return result


def seen(result: Result) -> list[tuple[str, str, int]]:
    """State, reason and wakes, each time the status table was looked at."""
    looks = result.stream.of("APP", "stm-status")
    return [(look.text("state"), look.text("reason"), look.number("wakes")) for look in looks]


def monitor_controls(result: Result) -> list[tuple[int, int]]:
    """Processor and IA32_SMM_MONITOR_CTL, each time they were looked at."""
    looks = result.stream.of("APP", "smm-monitor-ctl")
    return [(look.number("processor"), look.number("value")) for look in looks]


def written(result: Result) -> list[tuple[int, int]]:
    """Processor and value of each write of IA32_SMM_MONITOR_CTL, as the machine saw it."""
    events = [event for event in result.stream.machine if isinstance(event, MachineEvent)]
    return [
        (int(event.fields["cpu"]), int(event.fields["value"], 0))
        for event in events
        if event.name == "vmx_msr_smm_monitor_ctl" and event.fields["access"] == "write"
    ]


def woken(result: Result) -> int:
    return sum(record.text("result") == "woken" for record in result.stream.of("APP", "sleep-end"))


@pytest.mark.parametrize("processors", [1, 2])
def test_wake_brings_the_stm_back(firmware: Firmware, processors: int) -> None:
    nights = 3
    script = ["Standby.efi report"]
    script += ["Standby.efi s3", "Standby.efi report", "SmiTool.efi demo", "SmiTool.efi tseg"] * nights
    result = boot(firmware, *script, processors=processors)
    assert woken(result) == nights
    assert seen(result) == [("enabled", "none", wakes) for wakes in range(nights + 1)]
    status = result.stream.of("FW", "status")
    assert [record.number("wakes") for record in status] == list(range(nights + 1))
    assert {record.text("mseg_sha256") for record in status} == {status[0].text("mseg_sha256")}
    value = status[0].number("mseg_base") | VALID
    assert monitor_controls(result) == [(cpu, value) for cpu in range(processors)] * (nights + 1)
    writes = written(result)
    assert sorted(writes) == sorted([(cpu, value) for cpu in range(processors)] * (nights + 1))
    # What makes this a sleep: without a reset of the processors nothing would have to be written.
    sleeps = result.stream.of("APP", "sleep-begin")
    assert {(sleep.number("port"), sleep.number("type")) for sleep in sleeps} == {(0x604, 1)}


def test_stm_starts_after_a_wake(firmware: Firmware) -> None:
    round_ = ("ExecMon.efi start", "SmiTool.efi demo", "ExecMon.efi stop")
    result = boot(firmware, *round_, "Standby.efi s3", *round_)
    status = result.stream.of("FW", "status")
    launches = [record.text("mseg_sha256") for record in result.stream.of("STM", "init")]
    assert launches == [status[0].text("mseg_sha256")] * 2
    smis = [smi for smi in group_smis(result.stream.transitions) if smi.dual_monitor]
    wake = result.stream.of("APP", "sleep-end")[0].t
    assert all(smi.plain for smi in smis)
    sides = [smi.t > wake for smi in smis]
    assert sides.count(True) == sides.count(False) > 0


@pytest.mark.parametrize("processors", [1, 2])
def test_changed_image_is_refused_at_the_wake(firmware: Firmware, processors: int) -> None:
    result = boot(
        firmware,
        *("Standby.efi report", f"SmmTest.efi mseg-write {PADDING_OFFSET} 55 -own-tables"),
        *("Standby.efi s3", "Standby.efi report", "SmiTool.efi demo"),
        processors=processors,
        extra=ARMED,
    )
    assert woken(result) == 1
    assert seen(result) == [("enabled", "none", 0), ("refused", "image-modified", 1)]
    status = result.stream.of("FW", "status")
    assert [record.text("reason") for record in status] == ["none", "image-modified"]
    value = status[0].number("mseg_base") | VALID
    assert sorted(written(result)) == [(cpu, value) for cpu in range(processors)], "no processor was told of it"
    assert monitor_controls(result) == [(cpu, value) for cpu in range(processors)] + [
        (cpu, 0) for cpu in range(processors)
    ]


def test_executive_monitor_says_why_there_is_no_stm(firmware: Firmware) -> None:
    result = boot(
        firmware,
        *(f"SmmTest.efi mseg-write {PADDING_OFFSET} 55 -own-tables", "Standby.efi s3"),
        *("ExecMon.efi start", "SmiTool.efi demo", "ExecMon.efi stop"),
        extra=ARMED,
    )
    assert [record.text("reason") for record in result.stream.of("EXEC", "no-stm")] == ["image-modified"]
    assert result.stream.of("STM", "init") == []


@pytest.mark.parametrize("configuration", [Configuration.STOCK, Configuration.NO_DUAL_MONITOR])
def test_wake_without_the_treatment(firmware: Firmware, configuration: Configuration) -> None:
    script = ("Standby.efi report", "Standby.efi s3", "Standby.efi report", "SmiTool.efi demo")
    # Two processors, so that no instructions are counted: QEMU 7.2 then cuts EIP to 16 bits behind MOV from CR0 in a
    # 16-bit segment above 64 KB, which is where the firmware prepares the jump to the waking vector.
    result = boot(firmware, *script, configuration=configuration, processors=2)
    assert woken(result) == 1
    state, reason = EXPECTED_STATUS[configuration]
    assert seen(result) == [(state, reason, 0)] * 2
    assert len(result.stream.of("FW", "status")) == 1 and written(result) == []


def test_machine_without_s3(firmware: Firmware) -> None:
    extra = ("-global", "ICH9-LPC.disable_s3=1")
    script = ("Standby.efi s3", "reset -s")
    result = boot_configuration(Configuration.DUAL_MONITOR, firmware, script, BOOT_TIMEOUT_SECONDS, extra)
    assert result.ending.requested, result.run_dir
    assert "the ACPI tables have no S3" in (result.run_dir / "console.log").read_text(errors="replace")
    assert len(outcome.command_problems(result.stream)) == 1


@pytest.mark.parametrize("processors", [1, 2])
def test_monitor_that_left_can_start_again(firmware: Firmware, processors: int) -> None:
    """Its own word for the guest is true after the wake, and the STM starts anew on every processor."""
    result = boot(
        firmware,
        *("ExecMon.efi start", "Standby.efi s3", "ExecMon.efi status", "Standby.efi report"),
        *("ExecMon.efi start", "Standby.efi report", "SmiTool.efi demo", "ExecMon.efi stop"),
        processors=processors,
    )
    assert woken(result) == 1
    assert "ExecMon: not running" in (result.run_dir / "console.log").read_text(errors="replace")
    assert [record.text("answer") for record in result.stream.of("APP", "monitor")] == ["#UD", "present"]
    wake = result.stream.of("APP", "sleep-end")[0].t
    launches = result.stream.of("EXEC", "launch")
    assert [record.t > wake for record in launches] == [False] * processors + [True] * processors
    assert len(result.stream.of("EXEC", "vmxoff")) == 2 * processors
    assert all(smi.plain for smi in group_smis(result.stream.transitions) if smi.dual_monitor and smi.t > wake)


# Processors that run at the same time, and processors one of which stands still while the other runs.
@pytest.mark.parametrize(
    ("processors", "threads"),
    [
        (1, None),
        (2, "multi"),
        (2, "single"),
        pytest.param(4, "multi", marks=pytest.mark.long),
        pytest.param(4, "single", marks=pytest.mark.long),
    ],
)
def test_monitor_returns(firmware: Firmware, processors: int, threads: str | None) -> None:
    """With the STM, on every processor, and the guest finds the FACS as it left it."""
    nights = 3
    result = boot(
        firmware,
        *("ExecMon.efi start -return", "SmiTool.efi demo"),
        *("Standby.efi s3", "Standby.efi report", "SmiTool.efi demo", "SmiTool.efi state") * nights,
        *("ExecMon.efi stop", "Standby.efi report", "SmiTool.efi demo"),
        processors=processors,
        extra=() if threads is None else ("-accel", f"tcg,thread={threads}"),
        timeout=nights * BOOT_TIMEOUT_SECONDS,
    )
    assert woken(result) == nights
    answers = [record.text("answer") for record in result.stream.of("APP", "monitor")]
    assert answers == ["present"] * nights + ["#UD"]
    launches = result.stream.of("EXEC", "launch")
    assert sorted(record.number("cpu") for record in launches) == sorted([*range(processors)] * (1 + nights))
    assert len(result.stream.of("STM", "init")) == processors * (1 + nights)
    sleeps, wakes = result.stream.of("APP", "sleep-begin"), result.stream.of("APP", "sleep-end")
    taken = result.stream.of("EXEC", "sleep")
    for sleep, wake, own in zip(sleeps, wakes, taken, strict=True):
        assert sleep.number("vector") == wake.number("vector") == own.number("guest_vector") != own.number("vector")
    stop = result.stream.of("EXEC", "leave")[0].t
    for night in range(nights):
        dawn, dusk = wakes[night].t, ([*sleeps, None][night + 1] or result.stream.of("EXEC", "leave")[0]).t
        smis = [smi for smi in group_smis(result.stream.transitions) if dawn < smi.t < min(dusk, stop)]
        assert smis and all(smi.dual_monitor for smi in smis), night
        assert {smi.cpu for smi in smis} == set(range(processors))
    assert [record for record in result.stream.of("APP", "state-check") if record.text("result") != "pass"] == []


def test_monitor_returns_without_the_stm_that_was_changed(firmware: Firmware) -> None:
    """An image changed by an SMI handler on a processor outside: here before there is an STM at all."""
    result = boot(
        firmware,
        *("ExecMon.efi start -return -no-stm", f"SmmTest.efi mseg-write {PADDING_OFFSET} 55 -own-tables"),
        *("Standby.efi s3", "Standby.efi report", "SmiTool.efi demo", "ExecMon.efi stop"),
        extra=ARMED,
    )
    assert woken(result) == 1 and seen(result) == [("refused", "image-modified", 1)]
    assert [record.text("answer") for record in result.stream.of("APP", "monitor")] == ["present"]
    assert result.stream.of("STM", "init") == []


@pytest.mark.parametrize("address", ["", "0", "9e001", "100000"])
def test_page_that_cannot_be_remapped(firmware: Firmware, address: str) -> None:
    script = (f"ExecMon.efi start -remap {address}".rstrip(), "reset -s")
    result = boot_configuration(Configuration.DUAL_MONITOR, firmware, script, BOOT_TIMEOUT_SECONDS)
    assert result.ending.requested, result.run_dir
    assert len(outcome.command_problems(result.stream)) == 1 and result.stream.of("EXEC", "vmxon") == []
    assert "a page below 1 MB" in (result.run_dir / "console.log").read_text(errors="replace")
