# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's kernel as the guest of the executive monitor, with the STM serving its SMIs."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from build_scripts.machine.machine import CONSOLE_LOG
from build_scripts.observation.events import Kind
from build_scripts.observation.report import group_smis

from .conftest import BootExecutive, checked

SIGILL, EIO = 4, 5
REASON_CPUID = 10
CR4_PAE, CR4_VMXE = 1 << 5, 1 << 13
RAISED_EACH = 5
# The three ways in which a PC is reset, and the power-off; each with the word that makes the kernel take it.
ENDINGS = {
    "sleep": (),
    "reset-cf9": ("lab.end=reboot", "reboot=pci"),
    "reset-keyboard": ("lab.end=reboot", "reboot=kbd"),
}


@pytest.mark.parametrize("processors", [1, 2])
def test_guest_finds_processors_without_vmx(processors: int, boot_executive: BootExecutive) -> None:
    """CPUID, /proc/cpuinfo and VMCALL on each processor; the MSRs of VMX raise #GP."""
    run = boot_executive(processors)
    checked(run)
    found = run.named("processor")
    assert [processor.fields["online"] for processor in found] == ["1"] * processors
    assert {processor.fields["cpuid_vmx"] for processor in found} == {"0"}
    assert {processor.fields["vmcall_signal"] for processor in found} == {str(SIGILL)}
    assert run.named("cpuinfo")[0].fields["vmx"] == "0"
    msrs = run.named("msr")
    assert len(msrs) == 4 * processors and {msr.fields["error"] for msr in msrs} == {str(EIO)}


def test_cr4_and_nmis(boot_executive: BootExecutive) -> None:
    """The kernel sends each processor an NMI, whose handler shows CR4 of the code that it interrupts: without VMXE."""
    run = boot_executive()
    checked(run)
    assert [found.fields["asked"] for found in run.named("registers")] == ["1", "1"]
    text = (run.run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    shown = [int(value, 16) for value in re.findall(r"CR2: \w+ CR3: \w+ CR4: (\w+)", text)]
    assert len(shown) == 2 and all(value & CR4_PAE and not value & CR4_VMXE for value in shown)


def test_variables_and_smis(boot_executive: BootExecutive) -> None:
    """The firmware's runtime services work on both processors, and the STM serves every SMI, on each, plainly."""
    run = boot_executive()
    stream = checked(run)
    assert [variable.fields for variable in run.named("variable")] == [
        {"cpu": str(cpu), "error": "0", "equal": "1", "removed": "0"} for cpu in range(2)
    ]
    before, raised, after = ((int(smis.fields["count0"]), int(smis.fields["count1"])) for smis in run.named("smis"))
    assert [second - first for first, second in zip(before, raised, strict=True)] == [2 * RAISED_EACH] * 2
    assert after[0] > raised[0] and after[1] > raised[1], "variables raise SMIs"
    launched = max(record.t for record in stream.of("EXEC", "launch"))
    ended = stream.of("EXEC", "power")[0].t
    smis = [smi for smi in group_smis(stream.transitions) if launched <= smi.t <= ended]
    assert len(smis) >= 2 * 2 * RAISED_EACH and all(smi.dual_monitor and smi.complete for smi in smis)
    assert all(smi.plain or smi.extra_exits for smi in smis), "four transitions, but for instructions that always exit"
    odd = [[extra.reason for extra in smi.extra_exits] for smi in smis if not smi.plain]
    assert len(odd) <= 1 and {reason for extra in odd for reason in extra} <= {REASON_CPUID}
    exits = [event for event in stream.transitions if event.kind is Kind.EXIT]
    assert not any(event.basic_reason in {5, 6} for event in exits), "no SMI reaches the executive monitor"


def test_log_is_as_without_a_monitor(boot_executive: BootExecutive) -> None:
    """Every warning of the kernel is there without the executive monitor too; counted, so no busy host makes one."""
    plain, guest = boot_executive(monitor=False, icount=True), boot_executive(icount=True)
    checked(guest)
    assert guest.named("log")[0].fields["lines"] != "0"
    texts = [Counter(line.fields["text"] for line in run.named("log-line")) for run in (guest, plain)]
    assert texts[0] - texts[1] == Counter()


@pytest.mark.parametrize("event", list(ENDINGS))
def test_end_of_the_machine(event: str, boot_executive: BootExecutive) -> None:
    """ACPI power-off and resets: the STM is stopped and VMX operation left on both processors before."""
    run = boot_executive(settings=ENDINGS[event])
    stream = checked(run)
    assert run.ending.reason == ("guest-shutdown" if event == "sleep" else "guest-reset")
    (power,) = stream.of("EXEC", "power")
    assert power.text("event") == event
    assert Counter(record.number("cpu") for record in stream.of("EXEC", "vmxoff")) == Counter({0: 1, 1: 1})
    assert Counter(record.number("cpu") for record in stream.of("STM", "stop")) == Counter({0: 1, 1: 1})
    assert stream.of("EXEC", "power-timeout") == []
