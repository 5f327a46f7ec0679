# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The real STM on bare metal: API, window, save-state map, policy, crashes.

The image plays loader, SMI handler and executive monitor, so each run takes a
second and says exactly what the STM did. The same STM file goes into the
firmware.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import Outcome, parse_log, qemu_arguments, run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.observation.events import Kind, Record, Transition, parse_records, parse_trace
from build_scripts.processes import wait
from build_scripts.stm_image.loaded import loaded_digest
from tests.support.gdb_remote import GdbRemote

HERE = Path(__file__).resolve().parent
SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "executive.c", "kept.c", "regions.c", "guest.c"))
MSEG_BASE = 0x3E0_0000
VM_ENTRY_FAILURE = 0x8000_0021
VMX_REASON_TRIPLE_FAULT, VMX_REASON_CPUID, VMX_REASON_INVD, VMX_REASON_RSM, VMX_REASON_VMCALL = 2, 10, 13, 17, 18
VMX_REASON_CR_ACCESS, VMX_REASON_IO, VMX_REASON_WRMSR, REASON_EPT = 28, 30, 32, 48
# VMX instructions other than VMCALL: VMCLEAR to VMXON, INVEPT, INVVPID.
REASONS_VMX = (*range(19, 28), 50, 53)
STM_BAD_PSD, STM_BAD_SMBASE = 7, 9
STM_ALREADY_STARTED = 0x8001_0008
SMBASE = MSEG_BASE - 0x60_0000 + 0x1_0000

#: Fields of the host state that regions.c overwrites, each with what no VM entry takes.
HOST_FIELDS = 13

#: How Entry/Exit.nasm starts on an SMM VM exit: all registers pushed, RCX = RSP, and to the stack.
PUSHES = bytes.fromhex("4157415641554154415341524151415057565553525150")
SMM_EXIT = PUSHES + bytes.fromhex("4889e14881ec20080000e8")
#: How it starts on a VM exit of the SMI handler: RAX put away, and the exit reason asked for.
HANDLER_EXIT = bytes.fromhex("4889442488b802440000")
#: As many start like these: the ordinary one, and behind it that of the optional policies.
ENTRY_POINTS = 2


@dataclass(frozen=True)
class Run:
    """One run of the image: its checks, the STM's records, the machine's transitions."""

    outcome: Outcome
    records: list[Record]
    transitions: list[Transition]

    def of(self, event: str) -> list[Record]:
        """The STM's records of one kind."""
        return [record for record in self.records if record.event == event]


def digest_defines(mseg: Path) -> tuple[str, ...]:
    """What tells an image's loader where the STM is, and what MSEG's static part must be."""
    digest = loaded_digest(mseg.read_bytes())
    return f'MSEG_FILE="{mseg}"', "MSEG_DIGEST=" + ",".join(map(str, digest))


def image(mseg: Path, crash: str = "") -> Rom:
    return build_image(SOURCES, (*digest_defines(mseg), *((f"CRASH={crash}",) if crash else ())))


def extra_arguments(work: Path) -> tuple[str, ...]:
    return (
        *("-chardev", f"file,id=stm,path={work / 'stm.log'}"),
        *("-device", "isa-debugcon,iobase=0x403,chardev=stm"),
        *("-trace", "vmx_*", "-D", str(work / "machine.log")),
        *("-icount", "shift=5,sleep=off"),
    )


def read_run(work: Path, outcome: Outcome) -> Run:
    records = parse_records((work / "stm.log").read_text(encoding="ascii"), "stm.log")
    events = parse_trace((work / "machine.log").read_text(encoding="ascii"))
    return Run(outcome, records, [event for event in events if isinstance(event, Transition)])


@pytest.fixture(scope="module")
def good(qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run without a crash: refused first calls, two cycles, VMXOFF."""
    work = tmp_path_factory.mktemp("stm")
    outcome = run_image(qemu, image(mseg).rom, work, DUAL_CPU, extra_arguments(work), timeout=60)
    return read_run(work, outcome)


def test_checks_of_the_image(good: Run) -> None:
    assert good.outcome.problems(expect_shutdown=False) == []
    assert len(good.outcome.checks) >= 150
    assert sum(check.name == "monitor-ctl-as-found" for check in good.outcome.checks) == 2


def test_every_launch_has_the_same_image(good: Run, mseg: Path) -> None:
    digests = [record.fields["mseg_sha256"] for record in good.of("init")]
    assert digests == [loaded_digest(mseg.read_bytes()).hex()] * 5
    assert len(good.of("start")) == 4
    assert len(good.of("stop")) == 5
    assert good.of("crash") == []


def smi_groups(transitions: list[Transition]) -> list[list[Transition]]:
    """Transitions of each SMM VM exit, up to the return."""
    groups: list[list[Transition]] = []
    for one in transitions:
        if one.kind is Kind.SMM_EXIT:
            groups.append([])
        if groups and (not groups[-1] or groups[-1][-1].kind not in (Kind.SMM_RETURN, Kind.SMM_DEACTIVATE)):
            groups[-1].append(one)
    return groups


def test_plain_smis_take_four_transitions(good: Run) -> None:
    """Anything more is an exit that the handler's instructions force or the policy refuses."""
    extra: Counter[int] = Counter()
    plain = 0
    for group in smi_groups(good.transitions):
        if group[0].basic_reason not in (5, 6):
            continue
        exits = [one.basic_reason for one in group if one.kind is Kind.HANDLER_EXIT]
        assert exits[-1] == VMX_REASON_RSM
        assert group[-1].kind is Kind.SMM_RETURN
        assert len(group) == 2 + 2 * len(exits)
        plain += len(group) == 4
        extra.update(exits[:-1])
    assert plain >= 2 * 11
    reasons = (
        VMX_REASON_INVD,
        REASON_EPT,
        VMX_REASON_WRMSR,
        VMX_REASON_IO,
        VMX_REASON_CR_ACCESS,
        *REASONS_VMX,
    )
    # CPUID: once to look at it, once after the handler's IRET; VMCALL: one number that exists and one that does not.
    # WRMSR: one that is refused, six of MSRs that come back after the handler, three with values that are none.
    # CR_ACCESS: CR4.VMXE, CR4.OSXSAVE.
    once = {reason: 2 for reason in reasons} | {VMX_REASON_WRMSR: 2 * 10, VMX_REASON_CR_ACCESS: 2 * 2}
    assert extra == {VMX_REASON_CPUID: 4, VMX_REASON_VMCALL: 4} | once


def test_ring_names_what_was_refused(good: Run) -> None:
    exits = [(record.number("reason"), record.number("address")) for record in good.of("exit")]
    assert exits.count((REASON_EPT, MSEG_BASE + 0x800)) == 2
    assert sorted({reason for reason, _ in exits}) == sorted(
        {
            VMX_REASON_CPUID,
            VMX_REASON_INVD,
            VMX_REASON_VMCALL,
            REASON_EPT,
            VMX_REASON_WRMSR,
            VMX_REASON_IO,
            VMX_REASON_CR_ACCESS,
            *REASONS_VMX,
        }
    )
    # A refused call is told at once, not when the STM ends.
    first = next(place for place, record in enumerate(good.records) if record.event == "start")
    told = [record.number("qual") for record in good.records[:first] if record.event == "api"]
    assert STM_ALREADY_STARTED in told
    stops = [(record.number("smis"), record.number("exits")) for record in good.of("stop")]
    assert stops[0] == (0, 0)
    assert stops[1] == stops[2]
    assert stops[1][1] == len(exits) // 2


def test_without_true_capability_msrs(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """IA32_VMX_BASIC[55] = 0: the TRUE MSRs do not exist, and MOV to and from CR3 cause VM exits."""
    outcome = run_image(
        qemu, image(mseg).rom, tmp_path, f"{DUAL_CPU},vmx-true-ctls=off", extra_arguments(tmp_path), timeout=60
    )
    run = read_run(tmp_path, outcome)
    assert outcome.problems(expect_shutdown=False) == []
    assert run.of("crash") == []
    accesses = [record for record in run.of("exit") if record.number("reason") == VMX_REASON_CR_ACCESS]
    # Loads of CR3 with the handler's own page tables are free: a CR3-target value.
    assert {record.number("qual") & 0x3F for record in accesses if record.number("qual") & 0xF == 3} == {0x13}
    assert sum(record.number("qual") & 0xF == 3 for record in accesses) >= 2 * 2


Debugged = tuple[subprocess.Popen[bytes], GdbRemote]


def crash_run(qemu: Path, mseg: Path, work: Path, crash: str) -> Run:
    outcome = run_image(qemu, image(mseg, crash).rom, work, DUAL_CPU, extra_arguments(work), timeout=60)
    return read_run(work, outcome)


@pytest.mark.parametrize(
    ("action", "name", "reason"),
    [
        ("HANDLER_TRIPLE_FAULT", "handler-triple-fault", VMX_REASON_TRIPLE_FAULT),
        ("HANDLER_BREAK_PSD", "entry-failure", VM_ENTRY_FAILURE),
        ("HANDLER_BREAK_GDT", "bad-state", 0),
        ("HANDLER_MOVE_SMBASE", "bad-state", 0),
        ("HANDLER_READ_MSEG", "image-modified", 0),
    ],
)
def test_crash(qemu: Path, mseg: Path, tmp_path: Path, action: str, name: str, reason: int) -> None:
    """Each class: one crash record, then a reset. READ_MSEG stands for a changed byte of MSEG."""
    run = crash_run(qemu, mseg, tmp_path, action)
    (crash,) = run.of("crash")
    assert (crash.fields["class"], crash.number("reason")) == (name, reason)
    assert run.outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in run.outcome.log
    if action == "HANDLER_BREAK_GDT":
        assert (crash.number("error"), crash.number("qual")) == (STM_BAD_PSD, SMBASE)
    if action == "HANDLER_MOVE_SMBASE":
        assert (crash.number("error"), crash.number("qual")) == (STM_BAD_SMBASE, 0x30000)


def refused(run: Run) -> list[int]:
    """Statuses of the calls that were refused, in their order."""
    return [record.number("qual") for record in run.of("api") if record.number("qual") != 0]


def test_regions_in_legacy_smram(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Activation VMCS, VMXON region, current VMCS and guest's VMCS at A0000H: refused, and nothing resets."""
    run = crash_run(qemu, mseg, tmp_path, "EXECUTIVE_LEGACY_SMRAM")
    assert run.outcome.problems(expect_shutdown=False) == []
    assert run.of("crash") == []
    assert refused(run) == [0x8001_0001] * 2


@pytest.mark.parametrize("writable", ["off", "on"])
def test_regions_overwritten(qemu: Path, mseg: Path, tmp_path: Path, writable: str) -> None:
    """VMXON region, current VMCS and guest's VMCS, its host state too, overwritten: the executive monitor goes on.

    With and without IA32_VMX_MISC[29], which allows the STM to write an exit reason.
    """
    cpu = f"{DUAL_CPU},vmx-vmwrite-vmexit-fields={writable}"
    rom = image(mseg, "EXECUTIVE_OVERWRITES").rom
    run = read_run(tmp_path, run_image(qemu, rom, tmp_path, cpu, extra_arguments(tmp_path), timeout=60))
    assert run.outcome.problems(expect_shutdown=False) == []
    assert run.of("crash") == []
    seen = {
        check.detail.partition(",")[0] for check in run.outcome.checks if check.name.startswith(("launch", "host-"))
    }
    assert seen == {"got:0x80000021" if writable == "on" else "got:0xffffffff"}
    actions = [(record.number("error"), record.fields["action"]) for record in run.of("return-failed")]
    assert actions == [
        (0, "no-current-vmcs"),
        (16, "revision"),
        (16, "revision"),
        (16, "revision"),
        (16, "revision"),
        (17, "entry-failure"),
        *((25, "entry-failure") for _ in range(1 + HOST_FIELDS)),
    ]


@contextmanager
def debugged(qemu: Path, rom: Rom, work: Path) -> Iterator[tuple[subprocess.Popen[bytes], GdbRemote]]:
    """An image under the gdb stub, stopped at its first instruction."""
    socket = work / "gdb"
    arguments = qemu_arguments(
        qemu,
        rom.rom,
        work / "debug.log",
        DUAL_CPU,
        (*extra_arguments(work), "-S", "-gdb", f"unix:{socket},server=on,wait=off"),
    )
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    try:
        with GdbRemote(socket) as gdb:
            yield process, gdb
    finally:
        process.kill()
        process.wait()


def address_of(mseg: Path, code: bytes, copies: int = 1) -> int:
    """Where an entry point of the STM lies in MSEG, found by how it starts: the first of as many as start like it."""
    data = mseg.read_bytes()
    assert data.count(code) == copies
    return MSEG_BASE + data.index(code)


def test_exception_in_the_stm(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """A jump to nowhere, made with the gdb stub at an SMM VM exit."""
    entry = address_of(mseg, SMM_EXIT, ENTRY_POINTS)
    with debugged(qemu, image(mseg), tmp_path) as (process, gdb):
        gdb.set_breakpoint(entry)
        gdb.run_to_stop()
        gdb.clear_breakpoint(entry)
        gdb.write_register("rip", 0x1234_5678)
        gdb.run()
        assert wait(process, 60) == 0
    (crash,) = parse_records((tmp_path / "stm.log").read_text(encoding="ascii"), "stm.log")[-1:]
    assert crash.event == "crash"
    assert crash.fields["class"] == "exception"
    assert [crash.number(key) for key in ("reason", "rip", "cr2")] == [14, 0x1234_5678, 0x1234_5678]


def test_nmi_while_the_stm_runs(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The handler has executed IRET, which unblocks NMIs; one arrives while the STM serves its CPUID.

    It stays pending, and the interrupted side gets it once: the image's checks.
    """
    entry = address_of(mseg, HANDLER_EXIT, ENTRY_POINTS)
    with debugged(qemu, image(mseg, "HANDLER_IRET"), tmp_path) as (process, gdb):
        gdb.set_breakpoint(entry)
        gdb.run_to_stop()  # RSM of the firmware's setup code
        gdb.request("s")
        gdb.run_to_stop()  # CPUID of the handler
        gdb.clear_breakpoint(entry)
        gdb.request(f"qRcmd,{b'nmi'.hex()}")
        gdb.run()
        status = wait(process, 60)
    outcome = parse_log((tmp_path / "debug.log").read_text(encoding="ascii", errors="replace"), status)
    assert outcome.problems(expect_shutdown=False) == []
    assert [check.name for check in outcome.checks if check.rule == "NMI"] == [
        "none-before",
        "delivered-after-return",
        "once",
    ]
    records = parse_records((tmp_path / "stm.log").read_text(encoding="ascii"), "stm.log")
    assert [record.event for record in records if record.event in ("crash", "stop")] == ["stop"]
