# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The tree of an exercise: a copy of the checkout with the exercise's fault in it.

It is in the state directory beside the student's runs, not in the cache, which a class may share.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.exercises.exercise import Exercise, Trial
from build_scripts.observation.events import Stream, read_stream
from build_scripts.processes import ends_with_parent

PATCHES = Path(__file__).resolve().parent / "patches"
# What the lab needs to build and boot, and what a student wants to read.
COPIED = (
    *("StmPkg", "Platform", "build_scripts", "docs", "tests", ".pytool"),
    *("pyproject.toml", "requirements.lock", "README.md"),
)
STAMP = ".exercise"
_SCRIPT = ".exercise.nsh"
_FACTS = ".exercise.json"
# With which a run says where its logs are.
_LOGS = "logs: "


def folder() -> Path:
    """Where the trees of exercises are."""
    return paths.state_dir() / "exercises"


def place(exercise: Exercise) -> Path:
    """Where an exercise's tree is, or will be."""
    return folder() / exercise.name


def _patch(tree: Path, patch: Path, *options: str) -> None:
    """Apply a patch as it is: ``--batch`` in place of ``--force`` would turn one round that is already in.

    Raises:
        LabError: it does not fit. A part of it may be in, unless `options` has ``--dry-run``.
    """
    command = ["patch", "-p1", "--no-backup-if-mismatch", "--force", "--fuzz=0", "--input", str(patch), *options]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if result.returncode:
        begun = (tree / STAMP).is_file()
        remedy = f"begin anew: exercise {tree.name} --again" if begun else "take an unchanged checkout"
        raise LabError(f"{patch.name} does not fit {tree}:\n{result.stdout.strip()}", ExitCode.USAGE, remedy=remedy)


def copy(target: Path) -> None:
    """Copy the checkout as it stands, without what was built in it."""
    for name in COPIED:
        source = paths.CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "_build", "*.pyc"))
        elif source.is_file():
            shutil.copyfile(source, target / name)


def begin(exercise: Exercise, again: bool) -> Path:
    """Make the tree with the fault in it; returns where it is.

    Args:
        again: replace a tree that is there, with everything the student did to it.
    Raises:
        LabError: there is one already, or the fault does not fit this checkout.
    """
    target = place(exercise)
    if target.exists() and not again:
        raise LabError(
            f"the exercise {exercise.name} was begun in {target}",
            ExitCode.USAGE,
            remedy=f"go on there, and then 'exercise check'; 'exercise {exercise.name} --again' throws that away",
        )
    old = target.with_name(f".{target.name}.old.{os.getpid()}")
    try:
        with paths.published(target) as staging:
            copy(staging)
            _patch(staging, PATCHES / f"{exercise.name}.patch")
            (staging / STAMP).write_text(f"{exercise.name}\n", encoding="utf-8")
            # Only now is there something to put in the place of the student's work.
            if target.exists():
                target.rename(old)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    return target


def begun(exercise: Exercise) -> Path:
    """The tree of an exercise.

    Raises:
        LabError: it was not begun.
    """
    target = place(exercise)
    if not (target / STAMP).is_file():
        raise LabError(
            f"the exercise {exercise.name} has not been begun", ExitCode.USAGE, remedy=f"exercise {exercise.name}"
        )
    return target


def mend(exercise: Exercise) -> Path:
    """Take the fault out of the tree again, and put in what there was to write; returns where it is.

    Raises:
        LabError: it was not begun, or somebody has changed the place meanwhile.
    """
    target = begun(exercise)
    for options in (["--dry-run"], []):  # all of it or nothing
        _patch(target, PATCHES / f"{exercise.name}.patch", "-R", *options)
        if exercise.writes:
            _patch(target, PATCHES / f"{exercise.name}.solution.patch", *options)
    return target


def last_begun() -> str | None:
    """The name of the exercise that was begun last."""
    # Trees that are being made or thrown away have names that begin with a dot.
    stamps = [path for path in folder().glob(f"*/{STAMP}") if not path.parent.name.startswith(".")]
    last = max(stamps, key=lambda path: path.stat().st_mtime, default=None)
    return None if last is None else last.parent.name


def _words(exercise: Exercise, target: Path) -> list[str]:
    if exercise.program:
        return ["bare", exercise.program]
    (target / _SCRIPT).write_text("".join(f"{line}\n" for line in exercise.script), encoding="ascii")
    return ["run", "--script", str(target / _SCRIPT)]


def try_out(exercise: Exercise, told: Callable[[str], None]) -> Trial:
    """Build and run the tree with its own programs, as the student does.

    Args:
        told: called with each line that these say meanwhile.
    Raises:
        LabError: it was not begun, or the answers or what the run has left cannot be read.
    """
    target = begun(exercise)
    if exercise.answers:
        os.utime(target / STAMP)
        return Trial(ExitCode.OK, None, "", _answers(exercise, target))
    facts = target / _FACTS
    facts.unlink(missing_ok=True)
    command = [sys.executable, "-m", "build_scripts", *_words(exercise, target), "--json", str(facts)]
    variables = {name: value for name, value in os.environ.items() if name != "STMLAB_ENTERED"}
    said = []
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as shown:
        with subprocess.Popen(
            [*command, *exercise.options],
            cwd=target,
            env=variables | {"PYTHONPATH": str(target)},
            stdout=shown,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=ends_with_parent(),
        ) as running:
            assert running.stderr is not None
            for line in running.stderr:
                said.append(line)
                told(line.rstrip())
        shown.seek(0)
        logs = [Path(line.removeprefix(_LOGS).rstrip("\n")) for line in shown if line.startswith(_LOGS)]
    os.utime(target / STAMP)
    stream = read_stream(logs[-1]) if logs else Stream(())
    return Trial(running.returncode, _facts(facts), "".join(said), stream=stream)


def _answers(exercise: Exercise, target: Path) -> str:
    """What the student has written.

    Raises:
        LabError: it is gone, or no text.
    """
    try:
        return (target / exercise.answers).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"{exercise.answers} in {target} cannot be read: {error}",
            ExitCode.EXPECTATION_FAILED,
            remedy=f"exercise {exercise.name} --again",
        ) from error


def _facts(path: Path) -> dict[str, Any] | None:
    """What the run has written; None if it came to an end before that.

    Raises:
        LabError: it is not what a run writes.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        wrong = "" if isinstance(found, dict) else "not an object"
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise LabError(
            f"the run in {path.parent} wrote facts that cannot be read: {path.name}: {wrong}",
            ExitCode.EXPECTATION_FAILED,
            remedy="check it once more; if that does not help, undo your change to the program that writes them",
        )
    return dict(found)
