# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the executive monitor's guest sees: a processor without VMX that otherwise behaves as the bare one."""

from __future__ import annotations

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import Kind, Record

from .conftest import BOOT_TIMEOUT_SECONDS, BootScript

pytestmark = pytest.mark.boot

CHECKS = 50
REASON_VMCALL = 18
CPUID_ECX_VMX = 1 << 5
UD, GP, PF = 6, 13, 14
NT, CR0_TS = 1 << 14, 1 << 3


@pytest.mark.parametrize(
    "configuration", [Configuration.NO_DUAL_MONITOR, Configuration.DUAL_MONITOR], ids=lambda value: value.value
)
def test_guest_finds_a_processor_without_vmx(configuration: Configuration, boot_script: BootScript) -> None:
    """VMX instructions: #UD; its MSRs and CR4.VMXE: #GP(0); CPUID, CR0, XCR0, single steps as without a monitor."""
    result = boot_script(configuration, "ExecMon.efi start", "GuestTool.efi", "ExecMon.efi stop")
    checks = result.stream.of("APP", "guest-check")
    assert [str(check) for check in checks if check.text("result") != "pass"] == []
    assert len({check.text("name") for check in checks}) == len(checks) == CHECKS


def test_no_hypercall_of_the_guest_reaches_the_stm(boot_script: BootScript) -> None:
    """GuestTool asks for STOP and INITIALIZE_PROTECTION; the STM hears three calls, all from VMX root operation."""
    result = boot_script(Configuration.DUAL_MONITOR, "ExecMon.efi start", "GuestTool.efi", "ExecMon.efi stop")
    calls = [event for event in result.stream.transitions if event.kind in {Kind.SMM_EXIT, Kind.ACTIVATE}]
    calls = [event for event in calls if event.kind is Kind.ACTIVATE or event.basic_reason == REASON_VMCALL]
    assert [event.source.value for event in calls] == ["root"] * 3
    apis = [record.number("api") for record in result.stream.of("EXEC", "stm-call")]
    assert apis == [0x10007, 0x10001, 0x10002]


def test_triple_fault_of_the_guest_leaves_a_record(firmware: Firmware) -> None:
    """The executive monitor reports it, then resets the platform as the processor would have done."""
    script = ("ExecMon.efi start", "GuestTool.efi triple-fault")
    result = boot_configuration(Configuration.DUAL_MONITOR, firmware, script, BOOT_TIMEOUT_SECONDS)
    crashes = [record for record in result.stream.records if record.event == "crash"]
    assert [(crash.source, crash.text("class")) for crash in crashes] == [("EXEC", "guest-triple-fault")]
    assert result.ending.reason == "guest-reset", f"{result.run_dir}: {result.ending}"


def answers(records: list[Record]) -> list[dict[str, str]]:
    """What GuestTool asked and what it was answered, without the bit of CPUID that the monitor hides."""
    found = []
    for record in records:
        fields = {name: record.text(name) for name in ("name", "input", "vector", "first", "second")}
        if (fields["name"], record.number("input")) == ("cpuid", 1):
            fields["second"] = f"{record.number('second') & ~(CPUID_ECX_VMX << 32):#x}"
        found.append(fields)
    return found


def test_guest_is_answered_as_the_processor_would(boot_script: BootScript) -> None:
    """CPUID, RDMSR, RDPMC, XSETBV, INVD, INS and OUTS: the same list on the bare processor and in its guest."""
    script = ("GuestTool.efi answers", "ExecMon.efi start", "GuestTool.efi answers", "ExecMon.efi stop")
    result = boot_script(Configuration.DUAL_MONITOR, *script)
    records = result.stream.of("APP", "guest-answer")
    bare = answers([record for record in records if record.number("guest") == 0])
    guest = answers([record for record in records if record.number("guest") == 1])
    names = {answer["name"] for answer in bare}
    assert {
        "cpuid",
        "rdmsr",
        "rdpmc",
        "rdpmc-pce",
        "xsetbv",
        "xsetbv-osxsave-0",
        "rep-insb",
        "rep-outsb",
        "invd",
    } <= names
    assert {UD, GP, PF, 0} == {int(answer["vector"]) for answer in bare}
    assert guest == bare


#: What task A and task B see, and what the switches leave: Task.nasm.
TASKS = {
    "switches-to-b": 3,
    "eax-of-b": 0xB2B2_B2B2,
    "eflags-of-b": NT | 2,
    "ebx-of-a": 0xA1A1_A1A1,
    "link-of-b": 0x20,
    "task-register": 0x20,
    "descriptor-types": 0x898B,
}


@pytest.mark.parametrize("script", [(), ("ExecMon.efi start",)], ids=["bare", "guest"])
def test_task_switches(boot_script: BootScript, script: tuple[str, ...]) -> None:
    """By CALL, IRET, a task gate and JMP; the executive monitor does them as the processor does."""
    result = boot_script(Configuration.DUAL_MONITOR, *script, "GuestTool.efi tasks")
    seen = {record.text("name"): record.number("seen") for record in result.stream.of("APP", "guest-task")}
    assert seen.pop("cr0") & CR0_TS
    assert seen == TASKS
    exits = [event for event in result.stream.transitions if event.kind is Kind.EXIT and event.basic_reason == 9]
    assert len(exits) == (6 if script else 0)


def test_string_instruction_that_resets_the_platform(firmware: Firmware) -> None:
    """OUTS of 2 and 6 to port CF9H: the first is carried out, before the second the STM is stopped."""
    script = ("ExecMon.efi start", "GuestTool.efi reset-string")
    result = boot_configuration(Configuration.DUAL_MONITOR, firmware, script, BOOT_TIMEOUT_SECONDS)
    assert [record for record in result.stream.records if record.event == "crash"] == []
    assert [power.text("event") for power in result.stream.of("EXEC", "power")] == ["reset-cf9"]
    assert len(result.stream.of("EXEC", "vmxoff")) == len(result.stream.of("STM", "stop")) == 1
    assert result.ending.reason == "guest-reset", f"{result.run_dir}: {result.ending}"
