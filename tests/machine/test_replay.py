# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Record and replay: every transition comes again, at the same instruction and the same time, and one can go back.

In a replay `x-query-vmx` asks a processor whose thread waits for the replay lock; the machine once hung there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import EXIT_FINISHED, qemu_arguments
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.places import SECONDS, Cpu, Monitor, Session
from tests.support.gdb_remote import GdbRemote

pytestmark = pytest.mark.machine

IMAGE = ("t_roundtrip.c",)
ROUNDS = ("ROUNDS=3",)
TRANSITION = re.compile(r"vmx_transition cpu=0 t=\d+ icount=(\d+) kind=(\S+) from=(\S+) to=(\S+) ")
KINDS = {"vmxon", "smi", "rsm", "activate", "smm-return", "smm-exit", "handler-entry", "handler-exit", "entry", "exit"}


@dataclass(frozen=True)
class Recording:
    """A run of the image; lines: its trace of transitions."""

    folder: Path
    lines: list[str]

    def arguments(self, qemu: Path, mode: str, *extra: str) -> list[str]:
        """The command line that records it, or replays it."""
        rom = build_image(IMAGE, ROUNDS).rom
        counted = f"shift=5,sleep=off,rr={mode},rrfile={self.folder}/recording,rrsnapshot=start"
        drive = f"if=none,format=qcow2,id=snapshots,file={self.folder}/snapshots"
        return qemu_arguments(
            qemu, rom, self.folder / f"{mode}.log", DUAL_CPU, ("-icount", counted, "-drive", drive, *extra)
        )

    def traced(self, qemu: Path, mode: str) -> list[str]:
        """The trace of a run from the beginning to the end."""
        trace = self.folder / f"{mode}.trace"
        arguments = self.arguments(qemu, mode, "-D", str(trace), "-trace", "vmx_transition")
        status = subprocess.run(arguments, timeout=SECONDS, check=False).returncode
        # A replay ends with its recording.
        assert status in (EXIT_FINISHED if mode == "record" else (0, *EXIT_FINISHED))
        return trace.read_text(encoding="ascii").splitlines()


@pytest.fixture(scope="module")
def recording(qemu: Path, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("replay")
    with Session(qemu, folder, IMAGE, "-S") as session:
        session.add_snapshot_drive(folder / "snapshots")
        session.qmp("blockdev-del", **{"node-name": "snapshots"})
    made = Recording(folder, [])
    return Recording(folder, made.traced(qemu, "record"))


def test_replay_makes_the_same_transitions(qemu: Path, recording: Recording) -> None:
    """Of every kind, at the same instruction and the same time."""
    matches = [TRANSITION.match(line) for line in recording.lines]
    assert {match[2] for match in matches if match} == KINDS
    assert recording.traced(qemu, "replay") == recording.lines


# Where a replay goes on and back: round the last transition of each kind. The recording ends with the guest's VM exit.
CROSSED = sorted(KINDS - {"exit"})
NEAR = (-2, -1, 1, 2)


@dataclass(frozen=True)
class Replay:
    """A replay that a monitor and a debugger drive; it stands still."""

    monitor: Monitor
    debugger: Path
    recording: Recording

    def last(self, kind: str) -> int:
        """The instruction count of the last transition of a kind."""
        matches = [TRANSITION.match(line) for line in self.recording.lines]
        return max(int(match[1]) for match in matches if match and match[2] == kind)

    def count(self) -> int:
        """The instruction count now."""
        found = self.monitor.qmp("query-replay")["icount"]
        assert isinstance(found, int)
        return found

    def seen_at(self, count: int) -> list[Cpu]:
        """Go there, forward or back, and say what the processor is like."""
        assert self.monitor.qmp("replay-seek", icount=count) == {}
        self.monitor.wait_for("paused")
        assert self.count() == count
        return [*self.monitor.processors(), {"registers": self.monitor.hmp("info registers")}]


@pytest.fixture(scope="module")
def replay(qemu: Path, recording: Recording) -> Iterator[Replay]:
    """The recording, from its first instruction."""
    folder = recording.folder
    sockets = [w for name in ("qmp", "gdb") for w in (f"-{name}", f"unix:{folder}/back.{name},server=on,wait=off")]
    process = subprocess.Popen(recording.arguments(qemu, "replay", "-S", *sockets), stdout=subprocess.DEVNULL)
    with Monitor(folder / "back.qmp", process) as monitor:
        yield Replay(monitor, folder / "back.gdb", recording)


def test_replay_goes_back_over_every_transition(replay: Replay) -> None:
    """Mode, VMCSs and registers on both sides of each are what they were on the way there."""
    places = sorted({replay.last(kind) + offset for kind in CROSSED for offset in NEAR})
    forward = {place: replay.seen_at(place) for place in places}
    assert {str(cpu[0]["mode"]) for cpu in forward.values()} >= {"root", "guest", "stm", "handler", "smm"}
    for place in reversed(places):
        assert replay.seen_at(place) == forward[place], place


@pytest.mark.parametrize("kind", CROSSED)
def test_debugger_steps_back_over_a_transition(kind: str, replay: Replay) -> None:
    """By the request of GDB's ``reverse-stepi``, an instruction at a time."""
    count = replay.last(kind)
    before = replay.seen_at(count - 2)
    replay.seen_at(count + 2)
    with GdbRemote(replay.debugger) as gdb:
        for back in (1, 0, -1, -2):
            gdb.step_back()
            assert replay.count() == count + back
        assert [*replay.monitor.processors(), {"registers": replay.monitor.hmp("info registers")}] == before
