# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Processes that end with the lab: no guest and no build is left behind, whatever ends the lab.

Standard library only. An exception ends a child by its handle; a signal that
cannot be caught (SIGKILL) is the kernel's to pass on, so each child asks for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
# Signals that ask a program to end; Python turns SIGINT into KeyboardInterrupt itself.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """A signal asked the lab to end. No Exception, so that nothing on the way swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_status(self) -> int:
        """What a shell makes of a program that this signal ended."""
        return 128 + self.number


def reader_is_gone() -> int:
    """After `BrokenPipeError`: the reader of the output, such as ``head``, has enough.

    Returns:
        The status of a program that SIGPIPE ended.
    """
    # The interpreter flushes at its end, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def ends_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """For `subprocess.Popen(preexec_fn=...)`: the child gets this signal when the lab ends in any way.

    The kernel sends it when the *thread* that started the child ends, so
    children are to be started by the main thread or by one that waits for them.
    """
    parent = os.getpid()

    def ask_the_kernel() -> None:
        if _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:  # the lab ended between fork and here
            os.kill(os.getpid(), number)

    return ask_the_kernel


def waited_for_a_processor(pid: int) -> float:
    """For how many seconds the busiest host has let a process wait: the time in which it could run and did not.

    Of its threads the one that waited longest counts; 0 if the process is gone or the kernel does not say
    (CONFIG_SCHED_INFO).
    """
    longest = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            _ran, waited, _slices = path.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            continue  # that thread has ended
        longest = max(longest, int(waited))
    return longest / 1e9


class TimeLimit:
    """How long a process may take. A busy host does not use it up: time spent waiting for a processor is not counted.

    A limit is there to find what hangs. What only has to share its host with others does not hang, and how many those
    are nobody can know beforehand.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid = pid
        self._seconds = seconds
        self._begun = time.monotonic()
        self._waited = waited_for_a_processor(pid)

    def left(self) -> float:
        """Seconds that are left; 0 or less if the process has had its time."""
        left = self._seconds - (time.monotonic() - self._begun)
        return left if left > 0 else left + waited_for_a_processor(self._pid) - self._waited


# How often to look again at a process whose limit is over but for the time that it waited.
_AGAIN_SECONDS = 0.05


def wait(process: subprocess.Popen[Any], seconds: float) -> int:
    """`Popen.wait`, with a `TimeLimit`.

    Raises:
        subprocess.TimeoutExpired: it still runs.
    """
    limit = TimeLimit(process.pid, seconds)
    while True:
        try:
            return process.wait(max(limit.left(), _AGAIN_SECONDS))
        except subprocess.TimeoutExpired:
            if limit.left() <= 0:
                raise


def communicate(process: subprocess.Popen[str], seconds: float) -> tuple[str, str]:
    """`Popen.communicate`, with a `TimeLimit`.

    Returns:
        Its output and its errors; empty if they are not pipes.
    Raises:
        subprocess.TimeoutExpired: it still runs; another call goes on reading.
    """
    limit = TimeLimit(process.pid, seconds)
    while True:
        try:
            output, errors = process.communicate(timeout=max(limit.left(), _AGAIN_SECONDS))
        except subprocess.TimeoutExpired:
            if limit.left() <= 0:
                raise
        else:
            return output or "", errors or ""


@contextmanager
def signals_end_the_block() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated`, so that context managers end what they started."""

    def end(number: int, _frame: FrameType | None) -> None:
        for ending in _ENDING:  # a second one must not interrupt the clean-up
            signal.signal(ending, signal.SIG_IGN)
        raise Terminated(number)

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
