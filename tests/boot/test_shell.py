# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``shell``: somebody at a terminal types commands of the UEFI Shell, and ends the machine by Ctrl-A X."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import cli, paths
from build_scripts.errors import ExitCode
from build_scripts.observation.events import read_stream
from tests.boot.conftest import BOOT_TIMEOUT_SECONDS

CTRL_A = "\x01"


class Terminal:
    """A terminal with the lab's command in it."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        self._ours = ours
        command = [sys.executable, "-m", "build_scripts", "shell", *arguments]
        self.process = subprocess.Popen(
            command, cwd=paths.CHECKOUT, env=os.environ, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
        )
        os.close(theirs)
        self.shown = ""
        self._read = 0  # up to here `wait_for` has found what it waited for

    def wait_for(self, words: str) -> None:
        """Read until the terminal shows it."""
        while (found := self.shown.find(words, self._read)) < 0:
            ready, _, _ = select.select([self._ours], [], [], BOOT_TIMEOUT_SECONDS)
            assert ready, f"no {words!r} in {self.shown[-2000:]!r}"
            self.shown += os.read(self._ours, 4096).decode("utf-8", "replace")
        self._read = found + len(words)

    def type(self, words: str) -> None:
        """Press keys."""
        os.write(self._ours, words.encode("ascii"))

    def end(self) -> tuple[int, str]:
        """The command's exit status and what it said beside the guest."""
        _, errors = self.process.communicate(timeout=BOOT_TIMEOUT_SECONDS)
        os.close(self._ours)
        return self.process.returncode, errors.decode()


def test_a_conversation() -> None:
    terminal = Terminal()
    try:
        terminal.wait_for("Shell>")
        terminal.type("ExecMon.efi start\r")
        terminal.wait_for("Shell>")
        terminal.type("StmStatus.efi\r")
        terminal.wait_for("enabled")
        terminal.wait_for("Shell>")
        terminal.type(f"{CTRL_A}x")
        status, errors = terminal.end()
    finally:
        terminal.process.kill()
        terminal.process.wait()
    assert status == 0, errors
    assert "Ctrl-A X" in errors
    logs = re.search(r"^stmlab: logs: (.+)$", errors, re.MULTILINE)
    assert logs is not None, errors
    stream = read_stream(Path(logs[1]))
    assert stream.first("EXEC", "launch") is not None
    assert stream.first("STM", "start") is not None


def test_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["shell"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "shell needs a terminal" in said and "--script" in said
