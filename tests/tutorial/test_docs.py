# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every command that the site shows works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from build_scripts.bare.catalogue import PROGRAMS
from tests.support.carried import DEMONSTRATION, carry_out, experiment_of
from tests.support.newcomer import environment
from tests.tutorial import kept_build
from tests.tutorial.docs_commands import Page, commands_of, pages_with_commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = pages_with_commands(ROOT)
# The suite cannot run itself, and the build with sanitizers and the mutants are outside the ordinary run: these
# commands are checked up to the collected tests.
SUITE_COMMAND = "python3 -m build_scripts test"
COLLECTED = (SUITE_COMMAND, f"{SUITE_COMMAND} -m sanitize", f"{SUITE_COMMAND} -m mutation")
# Programs without firmware, which tests/machine/test_chapters.py runs. The first chapter's runs here, as shown, too.
_PROGRAM = re.compile(r"python3 -m build_scripts bare ([a-z-]+)")
RUN_BY_ITSELF = {program.name for program in PROGRAMS} - {"smi"}
# Pages that a newcomer begins with: their demonstration is carried out in the fresh clone, too.
NEWCOMERS = (Path("README.md"), Path("docs/tutorial/first-light.rst"))
# More than the ordinary suite does itself is not the page's point: it runs with another seed, and with its count of
# batches read, as shown, but smaller.
SHORTENED = {
    "STMLAB_FUZZ_BATCHES=100 python3 -m build_scripts test tests/machine/test_vmcs_fuzz.py": (
        "STMLAB_FUZZ_BATCHES=45 python3 -m build_scripts test tests/machine/test_vmcs_fuzz.py -k counted"
    ),
    "model --sequences 100000": "model --sequences 1000",
    "model --sequences 10000 ": "model --sequences 500 ",
}
# What another test does: it talks to the terminal, or the check does not pass, as it should not.
ELSEWHERE = {
    "python3 -m build_scripts shell": "tests/boot/test_shell.py::test_a_conversation",
    "python3 -m build_scripts exercise check": "tests/boot/test_exercises.py::test_a_fault_shows",
}
# A clean stuart build takes three minutes on two cores; a first machine build six.
PAGE_TIMEOUT_SECONDS = 2400

pytestmark = pytest.mark.tutorial


def _builds_firmware(page: Page) -> bool:
    return any(command.startswith("stuart_build ") for command in page.commands)


# Pages that show the same commands, such as README and front page, have one test. The longest begins first.
ALIKE = sorted(
    ([page for page in PAGES if page.commands == commands] for commands in {page.commands: None for page in PAGES}),
    key=lambda pages: not _builds_firmware(pages[0]),
)


@contextmanager
def _fresh_clone(page: Page, folder: Path) -> Iterator[Path]:
    """A clone of the commit under test for each test, as a newcomer has it who begins there."""
    if _builds_firmware(page):
        with kept_build.clone(ROOT) as clone:
            yield clone
        return
    clone = folder / "stm-lab"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    yield clone


def _carried(page: Page, command: str) -> tuple[str, ...] | None:
    """The experiment that the session carries out once for all who show this command; None for other commands."""
    newcomer = command == DEMONSTRATION and page.path in NEWCOMERS
    return None if newcomer else experiment_of(command)


def _shown(page: Page, command: str) -> str:
    """As the page's shell gets it; what the session has carried out by itself, or tests elsewhere, is left to that."""
    if _carried(page, command) is not None or command in ELSEWHERE:
        return f": {shlex.quote(command)}"
    found = _PROGRAM.fullmatch(command)
    if found is not None and found[1] in RUN_BY_ITSELF:
        return f": {shlex.quote(command)}"
    for long, short in SHORTENED.items():
        command = command.replace(long, short)
    return f"{command} --collect-only -q" if command in COLLECTED else command


def test_pages_show_commands() -> None:
    """Both the README and the first chapter show the two commands."""
    assert "python3 -m build_scripts run" in commands_of(ROOT / "README.md")
    assert SUITE_COMMAND in commands_of(ROOT / "README.md")
    assert "python3 -m build_scripts run" in commands_of(ROOT / "docs/tutorial/first-light.rst")


def test_what_is_shortened_is_shown() -> None:
    """No page has changed its command behind the table's back."""
    commands = [command for page in PAGES for command in page.commands]
    assert [long for long in SHORTENED if not any(long in command for command in commands)] == []


def test_what_is_tested_elsewhere_is_shown_and_tested() -> None:
    commands = {command for page in PAGES for command in page.commands}
    for command, test in ELSEWHERE.items():
        path, _, name = test.partition("::")
        assert command in commands and f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), command


@pytest.mark.parametrize("pages", ALIKE, ids=lambda pages: "+".join(str(page.path) for page in pages))
def test_commands_of_page(pages: list[Page], tmp_path: Path, session_folder: Path) -> None:
    """The commands of one page run, in order, in a fresh clone; experiments in this checkout, once for all tests."""
    log = tmp_path / "commands.log"
    # The debugger's socket lies below, and its path has at most 107 bytes. It stays if the commands fail.
    state = Path(tempfile.mkdtemp(prefix="lab-"))
    wanted = (found for command in pages[0].commands if (found := _carried(pages[0], command)) is not None)
    for number, arguments in enumerate(wanted):
        carried = carry_out(arguments, session_folder)
        assert carried.status == 0, f"{pages[0].path}: run {' '.join(arguments)}\n{carried.output}{carried.errors}"
        # Such as the page's `report` finds.
        shutil.copytree(carried.boots[-1], state / "stmlab" / "runs" / f"carried-{number:02}")
    with _fresh_clone(pages[0], tmp_path) as clone:
        with log.open("wb") as output:
            result = subprocess.run(
                ["bash", "-eux", "-s"],
                input="".join(f"{_shown(pages[0], command)}\n" for command in pages[0].commands).encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=clone,
                # A browser that shows nothing: to the lab one like any other.
                env=environment() | {"XDG_STATE_HOME": str(state), "BROWSER": "true"},
                timeout=PAGE_TIMEOUT_SECONDS,
                check=False,
            )
        tail = log.read_text(encoding="utf-8", errors="replace")[-4000:]
        assert result.returncode == 0, f"{pages[0].path}: commands failed, log {log}, runs below {state}\n{tail}"
    shutil.rmtree(state)
