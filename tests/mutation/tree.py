# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A copy of the checkout in which mutants are made and tested; the checkout itself is never written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from build_scripts.builds.qemu_build import write_if_changed
from tests.mutation.mutants import Mutant, load

# pytest's exit statuses: all passed, some failed.
PASSED, FAILED = 0, 1
SERVER = Path(__file__).resolve().parent / "server.py"
# gcc, called by a fixture of tests/host: the text did not compile.
NOT_COMPILED = "subprocess.CalledProcessError: Command '['gcc'"


class MutationError(RuntimeError):
    """The run says nothing about the mutant: it does not compile, or its tests fail without it."""


# What builds leave in a checkout.
LEFT_BY_BUILDS = ("Build", "Conf")


def copy_checkout(checkout: Path, target: Path) -> None:
    """Make `target` what git knows of, as it is now; files that are there already keep their times."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True)
    names = {name for name in listed.stdout.split("\0") if name and (checkout / name).is_file()}
    for path in target.rglob("*"):
        place = path.relative_to(target)
        if path.is_file() and place.parts[0] not in LEFT_BY_BUILDS and str(place) not in names:
            path.unlink()
    for name in names:
        source = checkout / name
        write_if_changed(target / name, source.read_bytes(), source.stat().st_mode & 0o777)


@dataclass
class Tree:
    """The copy, and which tests have passed in it without a mutant.

    Attributes:
        path: its root.
        sound: tests that have passed in it.
        build: makes what the tests need of the tree as it is, and returns variables for them.
        variables: of the environment of the process that runs the tests.
        server: that process, once one is needed.
    """

    path: Path
    build: Callable[[], dict[str, str]] = dict
    variables: Mapping[str, str] = field(default_factory=dict)
    sound: set[tuple[str, ...]] = field(default_factory=set)
    server: subprocess.Popen[str] | None = None

    def _environment(self) -> dict[str, str]:
        dropped = ("PYTEST_", "STMLAB_")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        variables.pop("PYTHONPATH", None)
        # Byte code is told from its source by time and size, which a mutant may share with the original.
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
        return variables | dict(self.variables)

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
        environment = self.build()
        server = self._server()
        assert server.stdin is not None and server.stdout is not None
        log = self.path / ".mutation.log"
        arguments = ["-q", "-x", "-p", "no:cacheprovider", *tests]
        request = {"arguments": arguments, "environment": environment, "log": str(log)}
        server.stdin.write(json.dumps(request) + "\n")
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
        # Shown by -s and -rP: who has noticed.
        print("\n".join(line for line in text.splitlines() if line.startswith(("FAILED", "ERROR"))))
        # Below 0: a signal, as after a wild pointer of C code that a test has called.
        return status != PASSED

    def check(self, mutant: Mutant) -> None:
        """The tests that should notice the mutant fail, and pass without it; a listed survivor still survives.

        Raises:
            AssertionError: it is otherwise.
            MutationError: the run says nothing.
        """
        self.check_sound(mutant)
        killed = self.killed(mutant)
        if mutant.survives:
            assert not killed, f"no longer survives: take its reason out of mutants/{mutant.part}.toml and of the page"
        else:
            assert killed, f"survived: {mutant.file}: {mutant.old!r} -> {mutant.new!r}, {' '.join(mutant.tests)}"


def mutants_of(part: str) -> pytest.MarkDecorator:
    """A test for each mutant of a part."""
    return pytest.mark.parametrize("mutant", [pytest.param(mutant, id=mutant.name) for mutant in load(part)])
