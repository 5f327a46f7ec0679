# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Builds a program, runs it on the machine, and reads what it left: seconds, since no firmware is built or booted."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.bare.catalogue import FOLDER, Program
from build_scripts.builds import firmware_build, qemu_build, stm_build
from build_scripts.conformance.image_build import BuildError, build_image, need_images
from build_scripts.conformance.image_run import Outcome, run_image
from build_scripts.conformance.image_table import DUAL_CPU, STOCK_CPU
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.processors import STREAMS
from build_scripts.observation import crash, events
from build_scripts.observation.events import Record, Stream, read_stream
from build_scripts.stm_image.loaded import loaded_digest

TIMEOUT_SECONDS = 20.0
# Firmware and SMI handler around the STM, and what a program without guests of a special kind leaves out.
_AROUND = ("stm/firmware.c", "stm/no_guests.c")
_STM_LOG = "stm.log"
# Lines that the runtime writes for programs.
_FOR_PROGRAMS = ("CHECK ", "END ", "RESET ", "EXPECT-SHUTDOWN ", "SKIP ")


@dataclass(frozen=True)
class Seen:
    """What a run left.

    Attributes:
        said: what the program wrote for people, line by line.
        stream: the STM's records and the machine's transitions and refusals.
        folder: of the logs.
    """

    outcome: Outcome
    said: tuple[str, ...]
    stream: Stream
    folder: Path

    @property
    def crash(self) -> Record | None:
        """The STM's crash record."""
        return self.stream.first("STM", "crash")

    @property
    def wrong(self) -> list[str]:
        """What is not as the program demands, sentences for people; none if it went well."""
        found = [f"{check.name}: {check.detail}" for check in self.outcome.checks if not check.passed]
        if self.outcome.status is None:
            found.append("it was still running at the time limit")
        elif self.outcome.declared is None and self.outcome.shutdown is None:
            found.append("it stopped early")
        if self.outcome.shutdown is None and self.crash is not None:
            words = "; ".join(crash.explain(self.crash, self.stream, self.folder, None))
            found.append(f"the STM crashed: class={self.crash.text('class')}: {words}")
        return found

    def as_json(self) -> dict[str, Any]:
        """The shape of the schema."""
        return {
            "schema_version": 1,
            "said": list(self.said),
            "checks": [
                {"name": check.name, "passed": check.passed, "detail": check.detail} for check in self.outcome.checks
            ],
            "wrong": self.wrong,
            "refusals": [str(refusal) for refusal in self.stream.refusals],
            "crash": None if self.crash is None else self.crash.text("class"),
            "transitions": [
                {"kind": event.kind.value, "from": event.source.value, "to": event.target.value, "reason": event.reason}
                for event in self.stream.transitions
            ],
        }


def stm_image() -> Path:
    """The STM of this checkout: that of a finished firmware, else built by itself.

    Raises:
        LabError: its build failed.
    """
    finished = firmware_build.finished_firmware()
    return finished.mseg if finished is not None else stm_build.build_stm() / stm_build.FILES[0]


def _machine(stock: bool) -> Path:
    if not stock:
        return qemu_build.find_machine()
    found = shutil.which(qemu_build.BINARY)
    if found is None:
        raise LabError(
            f"no {qemu_build.BINARY} on the path", ExitCode.MISSING_PACKAGES, remedy="install qemu-system-x86"
        )
    return Path(found)


def carry_out(program: Program, *, stock: bool = False) -> Seen:
    """Build a program and run it.

    Args:
        stock: on the distribution's QEMU, which has no VMX.
    Raises:
        LabError: a tool is missing, or a build failed.
    """
    need_images()
    machine = _machine(stock)
    sources = [str(program.path)]
    defines: list[str] = []
    if program.with_stm:
        image = stm_image()
        sources += [str(FOLDER / name) for name in _AROUND]
        digest = ",".join(map(str, loaded_digest(image.read_bytes())))
        defines = [f'MSEG_FILE="{image}"', f"MSEG_DIGEST={digest}"]
    try:
        rom = build_image(tuple(sources), tuple(defines)).rom
    except BuildError as bad:
        raise LabError(f"{program.source} does not build:\n{bad}", ExitCode.BUILD_FAILED) from bad
    folder = paths.new_run_dir("bare")
    extra = ["-icount", "shift=5,sleep=off", "-chardev", f"file,id=stm,path={folder / _STM_LOG}"]
    extra += ["-device", f"isa-debugcon,iobase={STREAMS[_STM_LOG]:#x},chardev=stm"]
    if not stock:
        extra += ["-trace", "vmx_*", "-D", str(folder / events.MACHINE_LOG)]
    cpu = STOCK_CPU if stock else DUAL_CPU
    outcome = run_image(machine, rom, folder, cpu, tuple(extra), timeout=TIMEOUT_SECONDS)
    if outcome.errors and outcome.status not in (None, 0) and not outcome.checks:
        raise LabError(f"QEMU: {outcome.errors.strip()}", log=folder)
    said = tuple(line for line in outcome.log.splitlines() if line and not line.startswith(_FOR_PROGRAMS))
    return Seen(outcome, said, read_stream(folder), folder)
