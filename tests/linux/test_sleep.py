# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Linux sleeps: below the executive monitor that ignores it, leaves or returns, and without one."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from build_scripts.linux.boot import Finding, LinuxRun
from build_scripts.machine.machine import CONSOLE_LOG
from build_scripts.observation.events import Stream
from build_scripts.observation.report import group_smis

from .conftest import BOOT_TIMEOUT_SECONDS, BootExecutive, checked

NIGHTS = 3
MANY_NIGHTS = 100
RAISED_EACH = 5
EIO = 5
NO_ERROR = 0


def asked(way: str, nights: int = 1) -> tuple[str, ...]:
    """The words of the kernel's command line."""
    return f"lab.sleep={way}", f"lab.nights={nights}"


def days(run: LinuxRun) -> list[list[Finding]]:
    """The findings before the first night, and after each."""
    found: list[list[Finding]] = [[]]
    for finding in run.findings:
        if finding.name == "night":
            found.append([])
        found[-1].append(finding)
    return found


def assert_day_is_good(day: list[Finding], processors: int) -> None:
    """Every processor online, every variable read back as written, every SMI counted on every processor."""
    found = [finding.fields for finding in day if finding.name == "processor"]
    online = [fields["cpu"] for fields in found if fields["online"] == "1"]
    assert online == [str(cpu) for cpu in range(processors)]
    variables = [finding.fields for finding in day if finding.name == "variable"]
    assert variables == [{"cpu": cpu, "error": "0", "equal": "1", "removed": "0"} for cpu in online]
    before, raised, after = ([int(smis.fields[f"count{cpu}"]) for cpu in online] for smis in day if smis.name == "smis")
    assert [second - first for first, second in zip(before, raised, strict=True)] == [
        RAISED_EACH * processors
    ] * processors
    assert all(second > first for first, second in zip(raised, after, strict=True)), "variables raise SMIs"


def assert_vmx_is(day: list[Finding], visible: bool) -> None:
    """CPUID and the MSRs of VMX, which a guest of the executive monitor does not see."""
    found = [finding.fields["cpuid_vmx"] for finding in day if finding.name == "processor"]
    errors = [finding.fields["error"] for finding in day if finding.name == "msr"]
    assert found and set(found) == {"1" if visible else "0"}
    assert errors and set(errors) == {str(NO_ERROR if visible else EIO)}


def assert_slept(run: LinuxRun, nights: int) -> None:
    found = [(night.fields["error"], night.fields["success"], night.fields["fail"]) for night in run.named("night")]
    assert found == [("0", str(night + 1), "0") for night in range(nights)], run.run_dir


def assert_monitor_returned(run: LinuxRun, stream: Stream, nights: int, processors: int) -> None:
    """After each wake the monitor and the STM on every processor, and every SMI the STM's."""
    assert_slept(run, nights)
    for day in days(run):
        assert_day_is_good(day, processors)
        assert_vmx_is(day, visible=False)
    power = stream.of("EXEC", "power")
    assert [record.text("event") for record in power] == ["sleep"] * (nights + 1), "each S3, and the power-off"
    assert len(stream.of("EXEC", "sleep")) == len(stream.of("EXEC", "wake")) == nights
    for part, event in (("EXEC", "launch"), ("STM", "init"), ("EXEC", "vmxoff")):
        of_processors = Counter(record.number("cpu") for record in stream.of(part, event))
        assert of_processors == Counter(dict.fromkeys(range(processors), nights + 1)), event
    launches = stream.of("EXEC", "launch")
    # The last processor of each time; from then on the STM serves, until the next sleep.
    dawns = [max(found.t for found in launches[i : i + processors]) for i in range(0, len(launches), processors)]
    for dawn, dusk in zip(dawns, power, strict=True):
        smis = [smi for smi in group_smis(stream.transitions) if dawn < smi.t < dusk.t]
        assert smis and all(smi.dual_monitor and smi.complete for smi in smis)
        assert {smi.cpu for smi in smis} == set(range(processors))


def new_lines(guest: LinuxRun, plain: LinuxRun) -> list[str]:
    """Warnings of the kernel that it does not give without the monitor."""
    texts = [Counter(line.fields["text"] for line in run.named("log-line")) for run in (guest, plain)]
    return sorted((texts[0] - texts[1]).elements())


def test_monitor_returns(boot_executive: BootExecutive) -> None:
    """Counted, so that the kernel's log can be compared with that of the same nights without a monitor."""
    words = asked("deep", NIGHTS)
    guest = boot_executive(options="-return", settings=words, icount=True)
    assert_monitor_returned(guest, checked(guest), NIGHTS, processors=2)
    plain = boot_executive(monitor=False, settings=words, icount=True)
    checked(plain)
    assert_slept(plain, NIGHTS)
    assert new_lines(guest, plain) == []


@pytest.mark.parametrize("processors", [1, 2, pytest.param(4, marks=pytest.mark.long)])
def test_monitor_returns_on_processors_that_run_at_once(processors: int, boot_executive: BootExecutive) -> None:
    run = boot_executive(processors, options="-return", settings=asked("deep", NIGHTS))
    assert_monitor_returned(run, checked(run), NIGHTS, processors)


@pytest.mark.long
@pytest.mark.parametrize("icount", [True, False], ids=["in-turn", "at-once"])
def test_monitor_returns_many_times(icount: bool, boot_executive: BootExecutive) -> None:
    timeout = NIGHTS * BOOT_TIMEOUT_SECONDS
    run = boot_executive(options="-return", settings=asked("deep", MANY_NIGHTS), icount=icount, timeout=timeout)
    assert_monitor_returned(run, checked(run), MANY_NIGHTS, processors=2)


@pytest.mark.parametrize("options", ["", "-ignore-sleep"])
def test_monitor_is_gone_after_the_wake(options: str, boot_executive: BootExecutive) -> None:
    """Whether it leaves or knows nothing of the sleep: Linux lives on, on processors with VMX, without the STM."""
    run = boot_executive(options=options, settings=asked("deep"))
    stream = checked(run)
    assert_slept(run, 1)
    evening, morning = days(run)
    for day, visible in ((evening, False), (morning, True)):
        assert_day_is_good(day, processors=2)
        assert_vmx_is(day, visible)
    left = stream.of("EXEC", "vmxoff")
    assert len(left) == len(stream.of("STM", "stop")) == (0 if options else 2)
    launched = max(record.t for record in stream.of("EXEC", "launch"))
    served = [smi.dual_monitor for smi in group_smis(stream.transitions) if smi.t > launched]
    assert served[0] and not served[-1] and served == sorted(served, reverse=True), "first all by the STM, then none"


def test_idling_instead_of_sleep(boot_executive: BootExecutive) -> None:
    """s2idle resets nothing and writes no port: the monitor sees no sleep, and monitor and STM stay where they are."""
    nights = 2
    run = boot_executive(options="-return", settings=asked("s2idle", nights))
    stream = checked(run)
    assert_slept(run, nights)
    for day in days(run):
        assert_day_is_good(day, processors=2)
        assert_vmx_is(day, visible=False)
    text = (run.run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    assert text.count("PM: suspend entry (s2idle)") == text.count("PM: suspend exit") == nights
    assert len(stream.of("EXEC", "launch")) == len(stream.of("STM", "init")) == len(stream.of("EXEC", "vmxoff")) == 2
    (power,) = stream.of("EXEC", "power")
    assert stream.of("EXEC", "sleep") == [] and power.t > max(record.t for record in stream.of("EXEC", "launch"))
    launched = max(record.t for record in stream.of("EXEC", "launch"))
    smis = [smi for smi in group_smis(stream.transitions) if launched < smi.t < power.t]
    assert smis and all(smi.dual_monitor and smi.complete for smi in smis)


def test_monitor_writes_to_no_memory_of_linux(boot_executive: BootExecutive) -> None:
    """What it tells the guest, when it leaves and when it returns, lies in memory that the firmware has reserved."""
    run = boot_executive(options="", settings=asked("deep"))
    (address,) = {record.number("published") for record in checked(run).of("EXEC", "power")}
    text = (run.run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"BIOS-e820: \[mem 0x(\w+)-0x(\w+)\] reserved", text)
    assert any(int(first, 16) <= address <= int(last, 16) for first, last in found), hex(address)


def test_writing_an_image_to_disk(boot_executive: BootExecutive) -> None:
    """S4 ends like a power-off: the monitor leaves on both processors, then the machine goes out."""
    run = boot_executive(options="-return", settings=asked("disk"))
    stream = checked(run, ends=False)
    assert run.ending.requested and run.named("night") == [], "it does not come back to process 1"
    assert_day_is_good(days(run)[0], processors=2)
    assert [record.text("event") for record in stream.of("EXEC", "power")] == ["sleep"]
    assert stream.of("EXEC", "sleep") == [], "nobody is to return from S4"
    assert Counter(record.number("cpu") for record in stream.of("EXEC", "vmxoff")) == Counter({0: 1, 1: 1})
    assert Counter(record.number("cpu") for record in stream.of("STM", "stop")) == Counter({0: 1, 1: 1})
