# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A copy of the checkout in which mutants are made and tested; the checkout itself is never written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutation.mutants import Mutant

# pytest's exit statuses: all passed, some failed.
PASSED, FAILED = 0, 1
SERVER = Path(__file__).resolve().parent / "server.py"
# gcc, called by a fixture of tests/host: the text did not compile.
NOT_COMPILED = "subprocess.CalledProcessError: Command '['gcc'"


class MutationError(RuntimeError):
    """The run says nothing about the mutant: it does not compile, or its tests fail without it."""


def copy_checkout(checkout: Path, target: Path) -> None:
    """Copy what git knows of, as it is now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        source = checkout / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


@dataclass
class Tree:
    """The copy, and which tests have passed in it without a mutant.

    Attributes:
        path: its root.
        sound: tests that have passed in it.
        server: the process that runs the tests, once one is needed.
    """

    path: Path
    sound: set[tuple[str, ...]] = field(default_factory=set)
    server: subprocess.Popen[str] | None = None

    def _environment(self) -> dict[str, str]:
        dropped = ("PYTEST_", "STMLAB_")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        variables.pop("PYTHONPATH", None)
        # Byte code is told from its source by time and size, which a mutant may share with the original.
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
        # No test here needs a machine, so that none is built before the first of them.
        variables["STMLAB_QEMU"] = "/nonexistent"
        return variables

    def _server(self) -> subprocess.Popen[str]:
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, str(SERVER)],
                cwd=self.path,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self.server

    def _test(self, tests: tuple[str, ...]) -> tuple[int, str]:
        """pytest's exit status and the end of what it printed."""
        server = self._server()
        assert server.stdin is not None and server.stdout is not None
        log = self.path / ".mutation.log"
        arguments = ["-q", "-x", "-p", "no:cacheprovider", *tests]
        server.stdin.write(json.dumps({"arguments": arguments, "log": str(log)}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        if not answer:
            raise MutationError("the process that runs the tests has ended")
        return int(answer), text[-4000:]

    def close(self) -> None:
        """End the process that runs the tests."""
        if self.server is not None:
            self.server.communicate()
            self.server = None

    def check_sound(self, mutant: Mutant) -> None:
        """The mutant's tests pass without it, else their failure would say nothing.

        Raises:
            MutationError: they do not.
        """
        if mutant.tests in self.sound:
            return
        status, text = self._test(mutant.tests)
        if status != PASSED:
            raise MutationError(f"the tests fail without a mutant:\n{text}")
        self.sound.add(mutant.tests)

    def killed(self, mutant: Mutant) -> bool:
        """Make the mutant, run its tests, undo it; whether a test failed.

        Raises:
            MutationError: it does not compile, or pytest ended in another way.
        """
        path = self.path / mutant.file
        original = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(original), encoding="utf-8")
        try:
            status, text = self._test(mutant.tests)
        finally:
            path.write_text(original, encoding="utf-8")
        if status > FAILED or NOT_COMPILED in text:
            raise MutationError(f"pytest ended with {status}:\n{text}")
        # Below 0: a signal, as after a wild pointer of C code that a test has called.
        return status != PASSED
