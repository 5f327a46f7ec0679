# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The state of the machine in a file: migration and savevm in every mode, and what savevm says to flash that is raw."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import EXIT_FINISHED, parse_log, qemu_arguments
from build_scripts.conformance.image_table import DUAL_CPU, ICOUNT, TABLE
from build_scripts.processes import TimeLimit, communicate
from tests.machine.places import Cpu, Session

pytestmark = pytest.mark.machine

VARIABLES_SIZE = 0x10000
SECONDS = 60
# Images that wait in every mode, and wherever something is under way that only the processor knows.
WAITING = {"modes": (("t_query.c",), ()), "under-way": (("t_places.c", "smp.asm"), ("-smp", "2"))}
PLACES = {
    "modes": (
        *("none", "smm", "root", "smm", "root-with-vmcs", "guest", "root-after-failure", "root-not-activated", "stm"),
        *("handler", "stm-from-guest", "guest-of-the-executive", "root-under-the-stm"),
    ),
    "under-way": (
        *("init-blocked", "smm-from-guest", "nmi-blocked", "virtual-nmi-blocked", "hlt", "shutdown", "wait-for-sipi"),
        *("timer", "smi-pending-in-the-stm", "smi-blocked", "end"),
    ),
}
MODES = {
    "modes": {"none", "smm", "root", "guest", "stm", "handler"},
    "under-way": {"none", "smm", "root", "guest", "stm"},
}


def _arguments(qemu: Path, rom: Path, work: Path, log: Path, extra: tuple[str, ...]) -> list[str]:
    """As the images have them, but with flash in place of a ROM, like the lab's machine."""
    variables = work / "variables.fd"
    if not variables.exists():
        variables.write_bytes(b"\xff" * VARIABLES_SIZE)
    arguments = qemu_arguments(qemu, rom, log, DUAL_CPU, extra)
    at = arguments.index("-bios")
    flash = [f"if=pflash,format=raw,unit=0,readonly=on,file={rom}", f"if=pflash,format=raw,unit=1,file={variables}"]
    arguments[at : at + 2] = [word for drive in flash for word in ("-drive", drive)]
    return [*arguments, "-monitor", "stdio"]


@contextmanager
def _running(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_entry(trace: Path, process: subprocess.Popen[str]) -> None:
    """Until the image's guest has been entered, so that there is state of VMX operation to keep."""
    limit = TimeLimit(process.pid, SECONDS)
    while limit.left() > 0:
        if trace.is_file() and "kind=entry" in trace.read_text(encoding="ascii", errors="replace"):
            return
        assert process.poll() is None, "QEMU ended before the guest was entered"
        time.sleep(0.05)
    raise AssertionError(f"no VM entry in {trace}")


def _told(process: subprocess.Popen[str], words: str) -> str:
    """What QEMU's monitor said to some commands until its end."""
    assert process.stdin is not None
    process.stdin.write(words)
    process.stdin.flush()
    return communicate(process, SECONDS)[0]


@pytest.mark.parametrize(("name", "extra"), [("async-default", ()), ("async", ()), ("async", ICOUNT)])
def test_migration_to_a_file(name: str, extra: tuple[str, ...], qemu: Path, tmp_path: Path) -> None:
    """The image goes on in another process, with SMIs, interrupts and its guest, and all its checks pass."""
    image = next(image for image in TABLE if image.name == name)
    rom = build_image(image.sources, image.defines).rom
    state, trace = tmp_path / "state", tmp_path / "trace"
    logs = [tmp_path / "source.log", tmp_path / "destination.log"]
    tracing = ("-D", str(trace), "-trace", "vmx_transition")
    with _running(_arguments(qemu, rom, tmp_path, logs[0], (*extra, *tracing))) as source:
        _wait_for_entry(trace, source)
        said = _told(source, f"stop\nmigrate file:{state}\ninfo migrate\nquit\n")
    assert "completed" in said, said
    incoming = (*extra, "-incoming", f"file:{state}")
    with _running(_arguments(qemu, rom, tmp_path, logs[1], incoming)) as destination:
        # A machine that was stopped stays so until somebody says otherwise.
        _told(destination, "cont\n")
        status = destination.returncode
    assert status in EXIT_FINISHED
    outcome = parse_log("".join(log.read_text(encoding="ascii") for log in logs), status)
    problems = outcome.problems(expect_shutdown=False)
    assert not problems, "\n".join(problems)
    assert len(outcome.checks) >= image.at_least


def test_savevm_needs_drives_that_hold_snapshots(qemu: Path, tmp_path: Path) -> None:
    """What docs/guide/debugging.rst says: refused, with the drive's name, and nothing lost."""
    rom = build_image(("t_platform.c",)).rom
    arguments = [*_arguments(qemu, rom, tmp_path, tmp_path / "debug.log", ()), "-S"]
    with _running(arguments) as process:
        said = _told(process, "savevm here\nquit\n")
    assert "pflash1" in said and "does not support" in said, said


def _facts(session: Session) -> list[Cpu]:
    """Of each processor: mode, pointers and VMCSs, but for the last failure, which is told and not state."""
    return [{name: value for name, value in cpu.items() if name != "last-failure"} for cpu in session.processors()]


def _finished(session: Session, checks: int) -> None:
    """The image has come to its end, and what it checked was right."""
    status = session.process.wait(SECONDS)
    assert status in EXIT_FINISHED
    log = "".join(path.read_text(encoding="ascii") for path in sorted(session.log.parent.parent.glob("*/log")))
    outcome = parse_log(log, status)
    assert [str(check) for check in outcome.checks if not check.passed] == []
    assert len(outcome.checks) >= checks and outcome.declared == len(outcome.checks)


@pytest.mark.parametrize(("name", "checks"), [("modes", 0), ("under-way", 30)])
def test_migration_in_every_mode(name: str, checks: int, qemu: Path, tmp_path: Path) -> None:
    """At each place into the next process, where all that the monitor tells is the same and the image goes on."""
    sources, extra = WAITING[name]
    modes: set[str] = set()
    incoming: tuple[str, ...] = ()
    facts: list[Cpu] = []
    for number, place in enumerate(PLACES[name]):
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        with Session(qemu, folder, sources, *extra, *incoming) as session:
            if incoming:
                session.wait_for("paused")
                assert _facts(session) == facts
                session.qmp("cont")
                session.go()
            assert session.next_place() == place
            session.qmp("stop")
            facts = _facts(session)
            modes |= {cpu["mode"] for cpu in facts}
            session.qmp("migrate", uri=f"file:{folder}/state")
            session.wait_for("postmigrate")
        incoming = ("-incoming", f"file:{folder}/state")
    assert modes == MODES[name]
    folder = tmp_path / "last"
    folder.mkdir()
    with Session(qemu, folder, sources, *extra, *incoming) as session:
        session.wait_for("paused")
        session.qmp("cont")
        session.go()
        assert session.next_place() == ""
        _finished(session, checks)


@pytest.mark.parametrize("name", list(WAITING))
def test_savevm_in_every_mode(name: str, qemu: Path, tmp_path: Path) -> None:
    """From the last place back to each: what the monitor tells is what it was, and the next place comes."""
    sources, extra = WAITING[name]
    places = PLACES[name]
    saved: dict[str, list[Cpu]] = {}
    folder = tmp_path / "0"
    folder.mkdir()
    with Session(qemu, folder, sources, *extra) as session:
        session.add_snapshot_drive(folder / "snapshots")
        for number, place in enumerate(places):
            assert session.next_place() == place
            session.qmp("stop")
            saved[str(number)] = _facts(session)
            assert session.hmp(f"savevm place-{number}") == ""
            session.qmp("cont")
            if number + 1 < len(places):
                session.go()
        for number in reversed(range(len(places) - 1)):
            session.qmp("stop")
            assert session.hmp(f"loadvm place-{number}") == ""
            assert _facts(session) == saved[str(number)]
            session.qmp("cont")
            session.go()
            assert session.next_place() == places[number + 1]
    text = session.text()
    assert "result=fail" not in text
    assert text.count("READY") == 2 * len(places) - 1
