# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor: from VMX root operation, from its guest, and the window before START."""

from __future__ import annotations

import pytest

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import TRACE, Result, find_qemu
from build_scripts.machine.machine import boot
from build_scripts.machine.processors import DUAL_MONITOR_CPU, Configuration, Guest
from build_scripts.observation import outcome
from build_scripts.observation.events import Kind, Mode, read_stream
from build_scripts.observation.report import group_smis

from .conftest import BOOT_TIMEOUT_SECONDS, BootScript

pytestmark = pytest.mark.boot

FROM_ROOT = 1 << 29


@pytest.fixture(scope="module")
def boots() -> dict[str, Result]:
    """Boots made by this module, so that several tests can look at one."""
    return {}


def boot_once(boots: dict[str, Result], boot_script: BootScript, *script: str) -> Result:
    key = ";".join(script)
    if key not in boots:
        boots[key] = boot_script(Configuration.DUAL_MONITOR, *script)
    return boots[key]


ROOT_SCRIPT = ("ExecMon.efi start -root", "SmiTool.efi demo", "ExecMon.efi stop", "SmiTool.efi demo")


def test_smis_from_root_take_four_transitions(boots: dict[str, Result], boot_script: BootScript) -> None:
    # DM-EXI-11, DM-EXI-17: executive pointer = VMXON pointer, bit 29 of the reason.
    result = boot_once(boots, boot_script, *ROOT_SCRIPT)
    smis = [smi for smi in group_smis(result.stream.transitions) if smi.dual_monitor]
    assert len(smis) > 3
    vmxon = result.stream.of("EXEC", "vmxon")[0].number("region")
    for smi in smis:
        assert smi.plain and smi.complete
        assert smi.events[0].source is Mode.ROOT
        assert smi.events[0].reason & FROM_ROOT
        assert smi.events[0].exec_vmcs == vmxon
        assert smi.events[-1].target is Mode.ROOT


def test_root_is_left_again(boots: dict[str, Result], boot_script: BootScript) -> None:
    result = boot_once(boots, boot_script, *ROOT_SCRIPT)
    kinds = [event.kind for event in result.stream.transitions]
    assert kinds.count(Kind.SMM_DEACTIVATE) == 1 and kinds.count(Kind.VMXOFF) == 1
    after = kinds[kinds.index(Kind.VMXOFF) :]
    assert Kind.SMI in after and Kind.SMM_EXIT not in after


def test_smi_before_start_is_served_after_start(boot_script: BootScript) -> None:
    """Blocking by SMI from INITIALIZE_PROTECTION to START: the SMI stays pending, then is served once."""
    result = boot_script(Configuration.DUAL_MONITOR, "ExecMon.efi start -smi-in-window", "ExecMon.efi stop")
    window = result.stream.of("EXEC", "smi-window")[0]
    assert window.number("window") == window.number("before")
    assert window.number("after") == window.number("before") + 1
    transitions = result.stream.transitions
    calls = [index for index, event in enumerate(transitions) if event.basic_reason == 18]
    start_return = next(i for i in range(calls[1], len(transitions)) if transitions[i].kind is Kind.SMM_RETURN)
    served = transitions[start_return + 1]
    assert served.kind is Kind.SMM_EXIT and served.basic_reason in {5, 6}
    assert served.source is Mode.ROOT


@pytest.mark.parametrize("configuration", list(Configuration), ids=lambda value: value.value)
def test_smram_reads_as_ff_outside_smm(configuration: Configuration, boot_script: BootScript) -> None:
    """TSEG, MSEG included: natively, and where there is VMX as the executive monitor's guest."""
    result = boot_script(configuration, "ExecMon.efi start", "SmiTool.efi tseg", "ExecMon.efi stop", "SmiTool.efi tseg")
    checks = result.stream.of("APP", "state-check")
    assert [check.text("result") for check in checks] == ["pass", "pass"]
    assert all(check.number("samples") > 4000 for check in checks)


def test_the_way_out_is_a_hypercall(boot_script: BootScript) -> None:
    result = boot_script(Configuration.DUAL_MONITOR, "ExecMon.efi start", "ExecMon.efi status", "ExecMon.efi stop")
    exits = [event for event in result.stream.transitions if event.kind is Kind.EXIT]
    assert exits and exits[-1].basic_reason == 18


def test_launch_without_the_stm_follows_one_with_it(boot_script: BootScript) -> None:
    """What the executive monitor knows of the STM ends with it: the second stop has none to stop."""
    start = "ExecMon.efi start"
    result = boot_script(Configuration.DUAL_MONITOR, start, "ExecMon.efi stop", f"{start} -no-stm", "ExecMon.efi stop")
    apis = [record.number("api") for record in result.stream.of("EXEC", "stm-call")]
    assert apis == [0x10007, 0x10001, 0x10002]
    assert [event.kind for event in result.stream.transitions].count(Kind.VMXOFF) == 2


NO_TRUE_CONTROLS = f"{DUAL_MONITOR_CPU},vmx-true-ctls=off"


def test_processor_without_true_capability_msrs(firmware: Firmware) -> None:
    """IA32_VMX_BASIC[55] = 0: reading the TRUE MSRs raises #GP, and CR3 accesses of a guest cannot but exit."""
    run_dir = paths.new_run_dir("no-true-controls")
    guest = Guest(
        qemu=find_qemu(Configuration.DUAL_MONITOR),
        cpu=NO_TRUE_CONTROLS,
        code=firmware.code,
        variables=firmware.variables,
        script=("ExecMon.efi start", "SmiTool.efi b2 3", "SmiTool.efi state", "ExecMon.efi stop", "reset -s"),
        trace=TRACE,
    )
    ending = boot(guest, run_dir, BOOT_TIMEOUT_SECONDS)
    stream = read_stream(run_dir)
    assert ending.requested, f"{run_dir}: {ending}"
    assert outcome.command_problems(stream) == [], run_dir
    smis = [smi for smi in group_smis(stream.transitions) if smi.dual_monitor]
    assert len(smis) >= 3 and all(smi.complete for smi in smis)
    assert all(smi.events[0].source is Mode.GUEST for smi in smis)
    checks = stream.of("APP", "state-check")
    assert checks and {check.text("result") for check in checks} == {"pass"}
    assert [record for record in stream.records if record.event == "crash"] == []
