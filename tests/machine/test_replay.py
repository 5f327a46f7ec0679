# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Record and replay: every transition comes again, at the same instruction and the same time."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import EXIT_FINISHED, qemu_arguments
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.places import SECONDS, Session

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
