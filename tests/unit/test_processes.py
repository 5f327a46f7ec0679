# SPDX-License-Identifier: BSD-2-Clause-Patent
"""However the lab ends, its guests end with it, and Ctrl-C leaves nothing unfinished behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from build_scripts import paths, processes
from build_scripts.processes import (
    Terminated,
    TimeLimit,
    communicate,
    ends_with_parent,
    signals_end_the_block,
    wait,
    waited_for_a_processor,
)
from build_scripts.progress import Step, run_logged

from .test_machine import HALTED, guest

SECONDS = 60.0
# A lab in small: one guest that never ends. It prints the process id of its QEMU when the guest runs.
LAB = """
    import signal
    import sys
    from argparse import Namespace
    from pathlib import Path
    from build_scripts import cli
    from build_scripts.machine.machine import Machine
    from build_scripts.machine.processors import Guest
    # As in a terminal, though the suite may run under nohup or in the background of a shell.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    guest = Guest(Path(sys.argv[2]), sys.argv[3], folder / "code.fd", folder / "vars.fd")
    def hang(options):
        with Machine(guest, folder / "run") as machine:
            machine.resume()
            print(machine._process.pid, flush=True)
            machine.wait(600)
        return 0
    class Parser:
        def parse_args(self, words):
            return Namespace(function=hang)
    cli.parser = Parser
    sys.exit(cli.main(["run"]))
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    limit = time.monotonic() + SECONDS
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.05)
    return not alive(pid)


@contextmanager
def lab(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start it, and wait until its guest runs."""
    machine = guest(folder, HALTED)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LAB), str(folder), str(machine.qemu), machine.cpu],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(paths.CHECKOUT)),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        qemu = process.stdout.readline()
        assert qemu, process.stderr.read()
        assert alive(int(qemu))
        try:
            yield process, int(qemu)
        finally:
            process.kill()
            if alive(int(qemu)):
                os.kill(int(qemu), signal.SIGKILL)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
        (signal.SIGINT, 130),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_qemu_ends_with_the_lab(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """L5 and L20."""
    with lab(tmp_path) as (process, qemu):
        process.send_signal(number)
        _out, said = communicate(process, SECONDS)
        assert ends(qemu), "QEMU was left behind"
        assert process.returncode == status, said
        assert "Traceback" not in said and "Task was destroyed" not in said and "never retrieved" not in said, said
        assert ("stmlab: " in said) == (number is not signal.SIGKILL), said
        if number is not signal.SIGKILL:
            assert not (tmp_path / "run" / "qmp.sock").exists()


def test_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="SIGTERM") as caught, signals_end_the_block():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_ignored_hang_up_stays_ignored() -> None:
    """As nohup starts a program."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_end_the_block():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Terminated(signal.SIGTERM), ValueError()], ids=type)
def test_a_build_ends_with_all_that_it_started(tmp_path: Path, error: BaseException) -> None:
    """What a build has started ends too, and the lab does not wait for a build that was interrupted."""
    seen: list[int] = []

    class Interrupting(Step):
        def line(self, text: str) -> None:
            seen.append(int(text))
            raise error

    command = ["sh", "-c", "sleep 600 & echo $!; wait"]
    with pytest.raises(type(error)):
        run_logged(command, tmp_path / "log", Interrupting("build", None), "build")
    assert len(seen) == 1 and ends(seen[0])


def test_a_limit_does_not_count_the_wait_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy host takes, it gives back."""
    now, waited = [100.0], [7.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(processes, "waited_for_a_processor", lambda _pid: waited[0])
    limit = TimeLimit(1, 10.0)
    assert limit.left() == 10.0
    now[0] += 30.0
    assert limit.left() == -20.0, "an idle host: it hangs"
    waited[0] += 24.0
    assert limit.left() == 4.0
    now[0] += 5.0
    assert limit.left() == -1.0


def test_the_kernel_tells_how_long_a_process_waited() -> None:
    """Three loops on one processor: each waits for the others."""
    processor = min(os.sched_getaffinity(0))
    loop = f"import os; os.sched_setaffinity(0, {{{processor}}})\nwhile True: pass"
    loops = [subprocess.Popen([sys.executable, "-c", loop], preexec_fn=ends_with_parent()) for _ in range(3)]
    try:
        limit = time.monotonic() + SECONDS
        while waited_for_a_processor(loops[0].pid) < 0.2:
            assert time.monotonic() < limit
            time.sleep(0.05)
    finally:
        for process in loops:
            process.kill()
            process.wait()
    assert waited_for_a_processor(loops[0].pid) == 0.0


def test_what_hangs_is_found() -> None:
    command = [sys.executable, "-c", "print('begun', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            wait(process, 0.2)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert communicate(process, SECONDS) == ("begun\n", "")
        assert process.returncode == 0
