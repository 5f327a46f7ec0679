# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The state of the machine in a file: what migration takes along, and what savevm says to flash that is a raw file."""

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

pytestmark = pytest.mark.machine

VARIABLES_SIZE = 0x10000
SECONDS = 60


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
