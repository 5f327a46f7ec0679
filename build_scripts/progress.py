# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Visible progress of long work, and commands whose output goes to a log.

On a terminal a title and beneath it a line with a bar; elsewhere (CI, a pipe) plain
lines, one at the start, one every half minute, one at the end. All of it on stderr: stdout
belongs to results.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from build_scripts import disk, nested
from build_scripts.errors import ExitCode, LabError
from build_scripts.processes import ends_with_parent

_PLAIN_INTERVAL_SECONDS = 30.0
_NINJA = re.compile(r"^\[(\d+)/(\d+)\] ")
_TAIL_LINES = 8
# Of the line on a terminal: spinner, bar, time, and what is between them. The rest is for what happens just now.
_BAR_COLUMNS = 34


class _Output:
    """Whether the output of what runs is shown, besides its going to a log."""

    shown = False


def show_output() -> None:
    """From now on show every line of what `run_logged` runs, in place of the bar."""
    _Output.shown = True


def say(message: str) -> None:
    """Print one line about what happens; nothing depends on it."""
    print(f"stmlab: {message}", file=sys.stderr, flush=True)


class Step:
    """One piece of long work under a title."""

    def __init__(self, title: str, bar: Progress | None) -> None:
        self._title = title
        self._bar = bar
        self._task = bar.add_task(title, total=None, status="") if bar is not None else None
        self._room = bar.console.width - _BAR_COLUMNS if bar is not None else 0
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        """Tell of a line of output; ninja's ``[12/1500]`` moves the bar."""
        found = _NINJA.match(text)
        if self._bar is not None and self._task is not None:
            if found:
                self._bar.update(self._task, completed=int(found[1]), total=int(found[2]))
            self._bar.update(self._task, status=text.strip()[: self._room])
        elif time.monotonic() - self._last >= _PLAIN_INTERVAL_SECONDS:
            self._last = time.monotonic()
            say(f"{self._title}: {text.strip()[:100]}")


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` while the block works, and how long it took."""
    console = Console(stderr=True)
    start = time.monotonic()
    # In a line of its own: beside a bar it would be cut off on a narrow terminal.
    say(f"{title} ...")
    # A dumb terminal cannot go back in its line.
    if console.is_terminal and not console.is_dumb_terminal and not _Output.shown:
        columns = (SpinnerColumn(), BarColumn(bar_width=20), TimeElapsedColumn())
        status = TextColumn("{task.fields[status]}", markup=False)
        with Progress(*columns, status, console=console, transient=True) as bar:
            yield Step(title, bar)
    else:
        yield Step(title, None)
    say(f"{title}: done in {time.monotonic() - start:.0f} s")


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    shown: Step,
    what: str,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    pick: re.Pattern[str] | None = None,
) -> None:
    """Run a command, its output appended to `log` and told to `shown`.

    Args:
        environment: variables of its own, on top of a clean environment (`nested.clean_environment`).
        pick: tell only of what its first group matches; all lines without it.
    Raises:
        LabError: it did not end with 0; holds the lines that name the cause, or the last ones.
    """
    arguments = [str(part) for part in command]
    tail: list[str] = []
    causes = nested.Causes()
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ {' '.join(arguments)}\n")
        output.flush()
        with subprocess.Popen(
            arguments,
            cwd=cwd,
            env=nested.clean_environment() | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=ends_with_parent(signal.SIGTERM),
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    output.write(line)
                    if _Output.shown:
                        print(line, end="", file=sys.stderr)
                    tail = [*tail[1 - _TAIL_LINES :], line.rstrip()]
                    causes.read(line)
                    found = pick.search(line) if pick is not None else None
                    if pick is None:
                        shown.line(line)
                    elif found:
                        shown.line(found[1])
            except BaseException:
                # A build starts others; all of them are in its session.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
    if process.returncode != 0:
        text = "\n".join([f"{what} failed (status {process.returncode}):", *(causes.found or tail)])
        raise LabError(text, ExitCode.BUILD_FAILED, remedy=disk.remedy_if_full(), log=log)
