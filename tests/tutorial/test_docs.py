# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The site builds without a warning, and every command it shows works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tutorial.docs_commands import Page, commands_of, pages_with_commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = pages_with_commands(ROOT)

# The suite cannot run itself, and the build with sanitizers and the mutants are outside the ordinary run: these
# commands are checked up to the collected tests.
SUITE_COMMAND = "python3 -m build_scripts test"
COLLECTED = (SUITE_COMMAND, f"{SUITE_COMMAND} -m sanitize", f"{SUITE_COMMAND} -m mutation")
# A clean stuart build takes three minutes on two cores; a first machine build six.
PAGE_TIMEOUT_SECONDS = 2400

pytestmark = pytest.mark.tutorial


@pytest.fixture
def fresh_clone(tmp_path: Path) -> Path:
    """A clone of the commit under test for each page, as a newcomer has it who begins there."""
    clone = tmp_path / "stm-lab"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    return clone


def _script(page: Page) -> str:
    lines = [f"{command} --collect-only -q" if command in COLLECTED else command for command in page.commands]
    return "\n".join(lines) + "\n"


def test_pages_show_commands() -> None:
    """Both the README and the first chapter show the two commands."""
    assert "python3 -m build_scripts run" in commands_of(ROOT / "README.md")
    assert SUITE_COMMAND in commands_of(ROOT / "README.md")
    assert "python3 -m build_scripts run" in commands_of(ROOT / "docs/tutorial/first-light.rst")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))
def test_commands_of_page(page: Page, fresh_clone: Path, tmp_path: Path) -> None:
    """The commands of one page run, in order, in a fresh clone."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "STMLAB_")) and name not in {"VIRTUAL_ENV", "PYTHONPATH"}
    }
    # Without this suite's own python3 on the path the commands bootstrap as they do for a newcomer.
    own = str(Path(sys.prefix) / "bin")
    environment["PATH"] = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
    log = tmp_path / "commands.log"
    with log.open("wb") as output:
        result = subprocess.run(
            ["bash", "-eux", "-s"],
            input=_script(page).encode(),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=fresh_clone,
            env=environment,
            timeout=PAGE_TIMEOUT_SECONDS,
            check=False,
        )
    tail = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    assert result.returncode == 0, f"{page.path}: commands failed, log {log}\n{tail}"


def test_site_builds_without_warnings(tmp_path: Path) -> None:
    """Sphinx treats every warning, also of a missing reference, as an error."""
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", "html", "docs", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "tutorial" / "first-light.html").is_file()
