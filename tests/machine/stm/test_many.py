# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Several processors under the real STM at once, each its own executive monitor.

Threads of the emulator are what makes orders differ here; that no order is unsafe is searched in
tests/host/test_session.py. Every line of the STM's log is read by the lab's grammar, so a cut one fails.
"""

from __future__ import annotations

import struct
import types
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import Outcome, run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.observation.events import Kind, Record, Transition, parse_records, parse_trace
from build_scripts.stm_image.loaded import loaded_digest
from tests.machine.stm.test_stm import HERE, address_of, digest_defines
from tests.support.gdb_remote import GdbRemote

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "many.c", "many_changes.c", "many_policies.c", "many.asm"))
#: As many.c has them.
SCENES = (
    *("rounds", "room", "fails", "crash", "flat", "late", "guard", "fetch", "absent", "orders", "shadows", "opened"),
    *("copies", "full", "cost", "ports"),
)
OUT_OF_RESOURCES, STOPPED, UNSPECIFIED = 0x8001_0015, 0x8001_000A, 0x8001_FFFF
BAD_PSD = 7
SMIS, FLAT_SMIS = 2, 12
CPUID, CR_ACCESS, EPT_VIOLATION, PROTECTION_EXCEPTION = 10, 28, 48, 0xC000_F001
LATE = 0x7000
#: AsmLeave, behind which a processor counts itself out: MOV CR3, R8; MOV RSP, RDX.
LEAVE = bytes.fromhex("41 0f 22 d8 48 89 d4")


def image(
    mseg: Path, scene: str, processors: int, announced: int, rounds: int, wide: bool, policy: Mapping[str, int]
) -> Rom:
    defines = digest_defines(mseg) + (("WIDE",) if wide else ())
    numbers = {"SCENE": SCENES.index(scene), "PROCESSORS": processors, "ANNOUNCED": announced, "ROUNDS": rounds}
    numbers |= policy
    return build_image(SOURCES, (*defines, *(f"{name}={value}" for name, value in numbers.items())))


def run(
    qemu: Path, mseg: Path, work: Path, scene: str, processors: int, *, announced: int = 0, rounds: int = 1,
    thread: str = "multi", timeout: float = 300, more: tuple[str, ...] = (), wide: bool = False,
    policy: Mapping[str, int] = types.MappingProxyType({}),
) -> tuple[Outcome, list[Record]]:  # fmt: skip
    """One run: what the image says, and the STM's records.

    Args:
        policy: RENDEZVOUS and SNAPSHOT, as stm_under_test.h takes them.
    """
    rom = image(mseg, scene, processors, announced or processors, rounds, wide, policy).rom
    extra = (
        *("-smp", str(processors), "-accel", f"tcg,thread={thread}"),
        *("-chardev", f"file,id=stm,path={work / 'stm.log'}"),
        *("-device", "isa-debugcon,iobase=0x403,chardev=stm"),
        *more,
    )
    outcome = run_image(qemu, rom, work, DUAL_CPU, extra, timeout)
    return outcome, parse_records((work / "stm.log").read_text(encoding="ascii"), "stm.log")


def instructions(transitions: list[Transition], processors: int) -> dict[int, int]:
    """By processor, the STM's instructions for one SMI.

    The least of several: where another processor has its turn within an SMI, its waiting is counted, too.
    """
    counts: dict[int, list[int]] = {cpu: [] for cpu in range(processors)}
    begin: dict[int, int] = {}
    spent: dict[int, int] = {}
    for one in transitions:
        if one.kind is Kind.SMM_EXIT and one.basic_reason in (5, 6):
            begin[one.cpu], spent[one.cpu] = one.icount, 0
        elif one.cpu in spent and one.kind is Kind.HANDLER_EXIT:
            begin[one.cpu] = one.icount
        elif one.cpu in spent and one.kind in (Kind.HANDLER_ENTRY, Kind.SMM_RETURN):
            spent[one.cpu] += one.icount - begin[one.cpu]
            if one.kind is Kind.SMM_RETURN:
                counts[one.cpu].append(spent.pop(one.cpu))
    return {cpu: min(own) for cpu, own in counts.items()}


def of(records: list[Record], event: str) -> list[Record]:
    return [record for record in records if record.event == event]


def statuses(records: list[Record], cpu: int) -> Counter[int]:
    """Statuses with which the STM refused a processor's calls."""
    calls = [record.number("qual") for record in of(records, "api") if record.number("cpu") == cpu]
    return Counter(status for status in calls if status)


def check_rounds(
    outcome: Outcome, records: list[Record], mseg: Path, processors: int, rounds: int, short: bool = False
) -> None:
    """What is the same in each round; with a short ring the oldest records of a processor may be lost."""
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == []
    assert {record.fields["mseg_sha256"] for record in of(records, "init")} == {loaded_digest(mseg.read_bytes()).hex()}
    started = (rounds + 1) // 2
    for event, wanted in (("init", rounds), ("start", started), ("stop", rounds), ("smi", started * SMIS)):
        seen = Counter(record.number("cpu") for record in of(records, event))
        assert seen == dict.fromkeys(range(processors), wanted)
    # Each record once: a processor's numbers begin again with each activation, and never stand still.
    for cpu in range(processors):
        own = [record for record in records if record.number("cpu") == cpu]
        numbers = [record.number("seq") for record in own if "seq" in record.fields]
        assert short or all(after in (before + 1, 0) for before, after in pairwise(numbers))
    refused = sum((statuses(records, cpu) for cpu in range(processors)), Counter())
    assert set(refused) <= {STOPPED}
    told = sum(int(check.detail) for check in outcome.checks if check.name == "rounds")
    assert refused[STOPPED] == told


@pytest.mark.parametrize(("processors", "thread"), [(2, "multi"), (4, "multi"), (2, "single")])
def test_start_and_stop_at_the_same_time(qemu: Path, mseg: Path, tmp_path: Path, processors: int, thread: str) -> None:
    """INITIALIZE_PROTECTION, START, two SMIs, STOP, on each processor without regard to the others."""
    rounds = 200
    outcome, records = run(qemu, mseg, tmp_path, "rounds", processors, rounds=rounds, thread=thread)
    check_rounds(outcome, records, mseg, processors, rounds)


def test_apic_identifiers_are_32_bits_wide(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Identifiers 0 and 100H: in their low 8 bits they are one, and would be given one block."""
    rounds = 20
    second = "max-x86_64-cpu,socket-id=1,core-id=0,thread-id=0"
    more = ("-smp", "1,sockets=2,cores=200,maxcpus=400", "-device", second)
    outcome, records = run(qemu, mseg, tmp_path, "rounds", 2, rounds=rounds, more=more, wide=True)
    check_rounds(outcome, records, mseg, 2, rounds)


@pytest.mark.long
@pytest.mark.parametrize("processors", [2, 4])
def test_start_and_stop_thousands_of_times(qemu: Path, mseg: Path, tmp_path: Path, processors: int) -> None:
    rounds = 5000 // processors * 2
    outcome, records = run(qemu, mseg, tmp_path, "rounds", processors, rounds=rounds, timeout=1800)
    check_rounds(outcome, records, mseg, processors, rounds)


def test_more_processors_than_there_is_room_for(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    outcome, records = run(qemu, mseg, tmp_path, "room", 3, announced=2)
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == []
    assert statuses(records, 2) == {OUT_OF_RESOURCES: 2}
    assert statuses(records, 1) == {OUT_OF_RESOURCES: 1}


def test_processor_that_cannot_be_started(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """200 times, and it takes no room from the others; then it can."""
    outcome, records = run(qemu, mseg, tmp_path, "fails", 3)
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == []
    assert statuses(records, 1) == {UNSPECIFIED: 201}
    assert {record.number("cpu") for record in of(records, "start")} == {0, 1, 2}


def test_session_is_over_while_a_processor_leaves(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The last member is held between its STOP and its last instruction in MSEG; who comes is told to come again."""
    leave = address_of(mseg, LEAVE)
    socket = tmp_path / "gdb"

    def hold() -> None:
        with GdbRemote(socket) as gdb:
            gdb.request("?")
            gdb.set_breakpoint(leave)
            gdb.run_to_stop()
            gdb.select(1)
            gdb.write_memory(LATE, struct.pack("<I", 1))
            gdb.run_to_stop(processor=1)  # refused, it leaves, too
            gdb.clear_breakpoint(leave)
            gdb.run()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        more = ("-S", "-gdb", f"unix:{socket},server=on,wait=off")
        outcome, records = run(qemu, mseg, tmp_path, "late", 2, thread="single", more=more)
        held.result()
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == []
    assert statuses(records, 1) == {STOPPED: 1} and statuses(records, 0) == {}
    assert [record.number("cpu") for record in of(records, "init")] == [0, 1]


@pytest.mark.parametrize("processors", [2, 4])
def test_crashes_at_the_same_time(qemu: Path, mseg: Path, tmp_path: Path, processors: int) -> None:
    """One record each, on a line of its own, before the platform is reset."""
    outcome, records = run(qemu, mseg, tmp_path, "crash", processors)
    crashes = of(records, "crash")
    assert sorted(record.number("cpu") for record in crashes) == list(range(processors))
    assert {(record.fields["class"], record.number("error")) for record in crashes} == {("bad-state", BAD_PSD)}
    assert outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in outcome.log


def test_an_smi_costs_as_much_whatever_the_number_of_processors(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The STM's instructions for a plain SMI, on each of 1 to 16 processors: equal within 5 percent."""
    seen: dict[int, dict[int, int]] = {}
    for processors in (1, 2, 4, 8, 16):
        work = tmp_path / str(processors)
        work.mkdir()
        more = ("-trace", "vmx_transition", "-D", str(work / "machine.log"), "-icount", "shift=5,sleep=off")
        outcome, records = run(qemu, mseg, work, "flat", processors, thread="single", more=more)
        assert outcome.problems(expect_shutdown=False) == []
        assert len(of(records, "smi")) == FLAT_SMIS * processors
        events = parse_trace((work / "machine.log").read_text(encoding="ascii"))
        seen[processors] = instructions([one for one in events if isinstance(one, Transition)], processors)
    counts = [count for own in seen.values() for count in own.values()]
    assert len(counts) == 1 + 2 + 4 + 8 + 16
    assert max(counts) <= 1.05 * min(counts), seen


@pytest.mark.parametrize("thread", ["single", "multi"])
def test_page_protected_under_a_handler(qemu: Path, mseg: Path, tmp_path: Path, thread: str) -> None:
    """The handler of processor 1 reads a page while processor 0 protects it: caught at the latest behind a VM exit."""
    outcome, records = run(qemu, mseg, tmp_path, "guard", 2, thread=thread)
    assert [check for check in outcome.checks if not check.passed] == []
    assert outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in outcome.log
    (crash,) = of(records, "crash")
    assert (crash.fields["class"], crash.number("cpu")) == ("protection-exception", 1)
    assert (crash.number("reason"), crash.number("error")) == (EPT_VIOLATION, PROTECTION_EXCEPTION)
    reasons = [record.number("reason") for record in of(records, "exit") if record.number("cpu") == 1]
    # Earlier, if the processor has lost the translation on its own.
    assert reasons in ([CPUID, EPT_VIOLATION], [EPT_VIOLATION])


@pytest.mark.parametrize("thread", ["single", "multi"])
def test_bit_protected_under_a_handler(qemu: Path, mseg: Path, tmp_path: Path, thread: str) -> None:
    """CR0.WP, which the handler of processor 1 has changed: the next SMI begins with what an SMI begins with.

    To write the same again is allowed then, and to change the bit is a violation.
    """
    outcome, records = run(qemu, mseg, tmp_path, "shadows", 2, thread=thread)
    assert [check for check in outcome.checks if not check.passed] == []
    assert [check.name for check in outcome.checks if check.rule == "SHADOW"][-1] == "next-smi"
    assert outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in outcome.log
    (crash,) = of(records, "crash")
    assert (crash.fields["class"], crash.number("cpu")) == ("protection-exception", 1)
    assert (crash.number("reason"), crash.number("error")) == (CR_ACCESS, PROTECTION_EXCEPTION)


@pytest.mark.parametrize("thread", ["single", "multi"])
def test_bit_opened_under_a_handler(qemu: Path, mseg: Path, tmp_path: Path, thread: str) -> None:
    """The handler of processor 1 changes a bit that was protected when it started: by MOV, LMSW and CLTS."""
    outcome, records = run(qemu, mseg, tmp_path, "opened", 2, thread=thread)
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == []
    exits = [record.number("reason") for record in of(records, "exit") if record.number("cpu") == 1]
    assert exits == [CR_ACCESS] * 2, "one by each mask that was not known to be open yet"


def test_registers_opened_under_a_handler(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The handler of processor 1 has written an address that the STM keeps for it; the data is that address's."""
    outcome, records = run(qemu, mseg, tmp_path, "ports", 2, thread="single")
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == []
    assert {check.name for check in outcome.checks if check.rule == "PORTS"} >= {"handlers-address", "address-as-left"}
