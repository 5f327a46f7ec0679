# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The executive monitor and the STM on every processor, with the processors in threads of their own and in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import TRACE, Result, find_qemu
from build_scripts.machine.machine import boot
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation import outcome
from build_scripts.observation.events import Kind, read_stream
from build_scripts.observation.report import group_smis

pytestmark = pytest.mark.boot

# Processors in one thread wait for each other at every SMI: a busy host makes ten seconds two minutes.
TIMEOUT_SECONDS = 600.0
SMIS = 5
NMIS = 500
REASON_INIT, REASON_SIPI = 3, 4
SCRIPT = (
    "ExecMon.efi start",
    f"SmiTool.efi b2 {SMIS}",
    "SmiTool.efi variable 2",
    "ExecMon.efi status",
    "ExecMon.efi stop",
)
THREADS = {"multi": ("-accel", "tcg,thread=multi"), "single": ("-accel", "tcg,thread=single")}
LONG_TIMEOUT_SECONDS = 1800.0

Boot = Callable[..., Result]


@pytest.fixture
def boot_processors(firmware: Firmware) -> Boot:
    """Boots a script with several processors; the monitor's end is looked at by the test."""

    def run(
        script: tuple[str, ...],
        processors: int,
        threads: str = "multi",
        trace: tuple[str, ...] = TRACE,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Result:
        run_dir = paths.new_run_dir(f"processors-{processors}-{threads}")
        guest = Guest(
            qemu=find_qemu(Configuration.DUAL_MONITOR),
            cpu=Configuration.DUAL_MONITOR.cpu,
            code=firmware.code,
            variables=firmware.variables,
            script=script,
            processors=processors,
            icount=threads == "counted",
            trace=trace,
            extra=THREADS.get(threads, ()),
            stm_image=firmware.override,
        )
        ending = boot(guest, run_dir, timeout)
        stream = read_stream(run_dir)
        assert ending.requested, f"{run_dir}: {ending}"
        assert [record for record in stream.records if record.event == "crash"] == [], run_dir
        return Result(run_dir, ending, stream)

    return run


def processors_of(result: Result, event: str) -> Counter[int]:
    """How often each processor left a record of the executive monitor."""
    return Counter(record.number("cpu") for record in result.stream.of("EXEC", event))


@pytest.mark.parametrize(
    ("processors", "threads"),
    [
        *((processors, threads) for processors in (1, 2) for threads in THREADS),
        *(pytest.param(many, threads, marks=pytest.mark.long) for many in (4, 8, 16) for threads in THREADS),
    ],
)
def test_every_processor(processors: int, threads: str, boot_processors: Boot) -> None:
    """All become guests and go back; the firmware's MP Services wake them by INIT and SIPI as guests."""
    timeout = TIMEOUT_SECONDS if processors <= 4 else LONG_TIMEOUT_SECONDS
    result = boot_processors((*SCRIPT, *SCRIPT, "reset -s"), processors, threads, timeout=timeout)
    assert outcome.command_problems(result.stream) == [], result.run_dir
    everyone = Counter(dict.fromkeys(range(processors), 2))
    for event in ("vmxon", "launch", "leave", "vmxoff"):
        assert processors_of(result, event) == everyone, event
    kinds = Counter((event.cpu, event.kind) for event in result.stream.transitions)
    for cpu in range(processors):
        assert kinds[cpu, Kind.ACTIVATE] == kinds[cpu, Kind.SMM_DEACTIVATE] == 2
    exits = Counter((event.cpu, event.basic_reason) for event in result.stream.transitions if event.kind is Kind.EXIT)
    for cpu in range(1, processors):
        assert exits[cpu, REASON_INIT] == exits[cpu, REASON_SIPI] == 2, "once for each stop"
    assert exits[0, REASON_INIT] == 0


@pytest.mark.parametrize("threads", list(THREADS))
def test_broadcast_smi_takes_four_transitions_on_each(threads: str, boot_processors: Boot) -> None:
    """One write of port B2H interrupts every processor, and each takes the four transitions of a plain SMI."""
    processors = 2
    script = ("ExecMon.efi start", f"SmiTool.efi b2 {SMIS}", "ExecMon.efi stop", "reset -s")
    result = boot_processors(script, processors, threads)
    begin, end = (result.stream.of("APP", f"smi-{word}")[0].t for word in ("begin", "end"))
    smis = [smi for smi in group_smis(result.stream.transitions) if begin <= smi.t <= end]
    assert Counter(smi.cpu for smi in smis) == Counter(dict.fromkeys(range(processors), SMIS)), result.run_dir
    assert all(smi.dual_monitor and smi.plain and smi.complete for smi in smis)


def test_processor_that_fails_takes_the_others_back(boot_processors: Boot) -> None:
    """The last processor's START is refused: nobody is left in VMX operation, and the next start succeeds."""
    script = ("ExecMon.efi start -fail-last", "SmiTool.efi b2 3", "ExecMon.efi start", "ExecMon.efi stop", "reset -s")
    result = boot_processors(script, 3)
    statuses = [record.number("status") for record in result.stream.of("APP", "script-status")]
    assert [bool(status) for status in statuses] == [True, False, False, False]
    (failed,) = result.stream.of("EXEC", "failed")
    assert failed.number("cpu") == 2
    launches, offs = result.stream.of("EXEC", "launch"), result.stream.of("EXEC", "vmxoff")
    assert Counter(record.number("cpu") for record in offs if record.t < failed.t) == Counter(range(3))
    assert {record.number("cpu") for record in launches if record.t < failed.t} == {1}
    first, second = (record.t for record in result.stream.of("APP", "smi-begin") + result.stream.of("APP", "smi-end"))
    smis = [smi for smi in group_smis(result.stream.transitions) if first <= smi.t <= second]
    assert smis and not any(smi.dual_monitor for smi in smis), "the default treatment on all"


def test_stop_that_is_refused_leaves_all_as_they_were(boot_processors: Boot) -> None:
    """The last of three stays, and so does the one that had left: each SMI is the STM's on every processor."""
    start, raise_smis, stop = "ExecMon.efi start -refuse-stop", f"SmiTool.efi b2 {SMIS}", "ExecMon.efi stop"
    result = boot_processors((start, stop, raise_smis, stop, raise_smis, "reset -s"), 3)
    statuses = [record.number("status") for record in result.stream.of("APP", "script-status")]
    assert [bool(status) for status in statuses] == [False, True, False, False, False]
    (failed,) = result.stream.of("EXEC", "failed")
    assert failed.number("cpu") == 2 and result.stream.of("EXEC", "not-again") == []
    assert processors_of(result, "launch") == Counter({0: 1, 1: 2, 2: 1}) == processors_of(result, "vmxoff")
    windows = zip(result.stream.of("APP", "smi-begin"), result.stream.of("APP", "smi-end"), strict=True)
    for (begin, end), dual in zip(windows, (True, False), strict=True):
        smis = [smi for smi in group_smis(result.stream.transitions) if begin.t <= smi.t <= end.t]
        assert Counter(smi.cpu for smi in smis) == Counter(dict.fromkeys(range(3), SMIS)), result.run_dir
        assert {smi.dual_monitor for smi in smis} == {dual}


def test_root_operation_is_refused_with_several(boot_processors: Boot) -> None:
    result = boot_processors(("ExecMon.efi start -root", "reset -s"), 2)
    assert [record.number("status") != 0 for record in result.stream.of("APP", "script-status")] == [True]
    assert result.stream.of("EXEC", "vmxon") == []


@pytest.mark.long
def test_two_hundred_launches(boot_processors: Boot) -> None:
    """200 times in one boot; counted, since on a busy host processors in threads wait for each other."""
    script = (*(("ExecMon.efi start", "ExecMon.efi stop") * 200), "reset -s")
    result = boot_processors(script, 2, "counted", trace=(), timeout=LONG_TIMEOUT_SECONDS)
    assert outcome.command_problems(result.stream) == [], result.run_dir
    assert processors_of(result, "launch") == processors_of(result, "vmxoff") == Counter({0: 200, 1: 200})


@pytest.mark.parametrize("processors", [1, 2])
def test_monitor_is_hidden_from_its_guest(processors: int, boot_processors: Boot) -> None:
    """Reads of its memory give ones and writes are lost: the VMCS that the guest overwrites still works."""
    script = ("ExecMon.efi start", "GuestTool.efi hidden", f"SmiTool.efi b2 {SMIS}", "ExecMon.efi stop", "reset -s")
    result = boot_processors(script, processors)
    assert outcome.command_problems(result.stream) == [], result.run_dir
    (seen,) = result.stream.of("APP", "guest-hidden")
    assert seen.number("wrong") == 0 and seen.number("pages") % 512 == 0
    accesses = result.stream.of("EXEC", "hidden-access")
    assert {record.text("access") for record in accesses} == {"read", "write"}
    regions = [record.number("vmcs") for record in result.stream.of("EXEC", "launch")]
    base, size = seen.number("base"), seen.number("pages") * 0x1000
    assert len(regions) == processors and all(base <= region < base + size for region in regions)


@pytest.mark.parametrize("threads", list(THREADS))
def test_nmis_in_root_reach_the_guest(threads: str, boot_processors: Boot) -> None:
    """One processor sends NMIs to another that exits all the time: each arrives once, in the monitor too."""
    result = boot_processors(("ExecMon.efi start", "GuestTool.efi nmi", "ExecMon.efi stop", "reset -s"), 2, threads)
    assert outcome.command_problems(result.stream) == [], result.run_dir
    (nmis,) = result.stream.of("APP", "guest-nmis")
    assert nmis.number("sent") == nmis.number("taken") == NMIS and nmis.number("lost") == 0
    (left,) = [record for record in result.stream.of("EXEC", "leave") if record.number("cpu") == 0]
    assert 0 < left.number("root_nmis") <= NMIS, "some came in VMX root operation"


@pytest.mark.parametrize("command", ["reset -s", "reset"])
def test_power_off_and_reset_stop_the_stm(command: str, firmware: Firmware) -> None:
    """The guest ends the platform while the monitor runs: STOP and VMXOFF on every processor come before."""
    run_dir = paths.new_run_dir("power")
    guest = Guest(
        qemu=find_qemu(Configuration.DUAL_MONITOR),
        cpu=Configuration.DUAL_MONITOR.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=("ExecMon.efi start", command),
        processors=2,
        icount=False,
        trace=TRACE,
        stm_image=firmware.override,
    )
    ending = boot(guest, run_dir, TIMEOUT_SECONDS)
    stream = read_stream(run_dir)
    assert ending.reason == ("guest-shutdown" if command == "reset -s" else "guest-reset"), run_dir
    (power,) = stream.of("EXEC", "power")
    assert power.text("event") == ("sleep" if command == "reset -s" else "reset-cf9")
    assert Counter(record.number("cpu") for record in stream.of("EXEC", "vmxoff")) == Counter({0: 1, 1: 1})
    assert Counter(record.number("cpu") for record in stream.of("STM", "stop")) == Counter({0: 1, 1: 1})
    assert stream.of("EXEC", "power-timeout") == [] and stream.errors == ()
