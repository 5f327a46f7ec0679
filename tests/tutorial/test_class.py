# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The page about a class, carried out: a bundle without compiler and network, a shared cache that is read-only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from build_scripts.errors import ExitCode
from tests.support.newcomer import environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/guide/class.rst"
TIMEOUT_SECONDS = 1200
# All that a student's machine has on its path.
PROGRAMS = ("python3", "bash", "sh", "env", "cat", "uname")

pytestmark = pytest.mark.long


def blocks() -> list[list[str]]:
    """The commands of each block of the page."""
    found = re.findall(r"^\.\. code-block:: text\n\n((?:[ ]+.*\n|\n)+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [textwrap.dedent(block).strip().splitlines() for block in found]


def carry_out(
    commands: list[str], folder: Path, variables: dict[str, str], *alone: str
) -> subprocess.CompletedProcess[str]:
    """Run commands with bash, the last of which decides; before them `alone`, which takes something away."""
    return subprocess.run(
        [*alone, shutil.which("bash") or "bash", "-eux", "-s"],
        input="\n".join(commands) + "\n",
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_a_class(tmp_path: Path) -> None:
    export, student, _shared, sharing = blocks()
    teacher = tmp_path / "teacher"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(teacher)], check=True)
    made = carry_out(export, teacher, environment())
    assert made.returncode == 0, made.stderr[-3000:]

    # The student: nothing but Python, no network, an empty home.
    desk, programs = tmp_path / "desk", tmp_path / "bin"
    desk.mkdir()
    programs.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name, path=environment()["PATH"])
        assert found is not None
        (programs / name).symlink_to(Path(found).resolve())
    (teacher / "stmlab.bundle").rename(desk / "stmlab.bundle")
    bare = {"HOME": str(tmp_path / "home"), "PATH": str(programs), "LANG": "C.UTF-8"}
    unshare = [shutil.which("unshare") or "unshare", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    ran = carry_out(student, desk, bare, *unshare, "--net")
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "Expectations: 10 of 10 met" in ran.stdout
    assert "building the" not in ran.stderr and "getting " not in ran.stderr
    # An exercise names the packages that it lacks, and leaves no tree behind.
    refused = carry_out(["python3 -m build_scripts exercise hot-path"], desk / "stmlab", bare, *unshare, "--net")
    assert refused.returncode == ExitCode.MISSING_PACKAGES and "nasm" in refused.stderr
    assert "Traceback" not in refused.stderr

    # Another student: a compiler, no network, and the first one's cache, which the kernel lets nobody write.
    cache = tmp_path / "home/.cache/stmlab"
    before = sorted(str(path) for path in cache.rglob("*"))
    named = [command.replace("/srv/lab/stmlab", str(cache)) for command in sharing]
    read_only = [f"mount --bind {cache} {cache}", f"mount -o remount,ro,bind {cache}", f"! touch {cache}/x"]
    own = environment() | {"HOME": str(tmp_path / "second")}
    own |= {"XDG_CACHE_HOME": str(tmp_path / "second/.cache"), "XDG_STATE_HOME": str(tmp_path / "second/state")}
    worked = carry_out([*read_only, *named], desk / "stmlab", own, *unshare, "--net", "--mount")
    assert worked.returncode == ExitCode.EXPECTATION_FAILED, worked.stderr[-3000:]
    assert "Expectations: 10 of 10 met" in worked.stdout and "hot-path: not yet" in worked.stdout
    assert "the STM executes" in worked.stdout
    assert sorted(str(path) for path in cache.rglob("*")) == before
    assert (tmp_path / "second/state/stmlab/exercises/hot-path").is_dir()
    assert not list((tmp_path / "second/.cache/stmlab").glob("venv-*"))
