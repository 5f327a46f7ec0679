# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``exercise``: begin one, mend it, or hear what is still wrong."""

from __future__ import annotations

from build_scripts.errors import ExitCode, LabError
from build_scripts.exercises import tree
from build_scripts.exercises.catalogue import EXERCISES, find
from build_scripts.observation.events import RecordError
from build_scripts.observation.show import console, tell
from build_scripts.progress import say, step
from build_scripts.tables import compact_table

CHECK = "check"


def list_exercises() -> int:
    """Print the name of each exercise and what it is about."""
    table = compact_table("Exercises", words=("Name", "What it is about", "Begun"), numbers=())
    for exercise in EXERCISES:
        begun = "yes" if (tree.place(exercise) / tree.STAMP).is_file() else ""
        table.add_row(exercise.name, exercise.title, begun)
    console().print(table)
    return int(ExitCode.OK)


def begin(name: str, again: bool) -> int:
    """Make the tree of an exercise, and tell what to do in it.

    Raises:
        LabError: there is no such exercise, or it was begun before.
    """
    exercise = find(name)
    target = tree.begin(exercise, again)
    out = console()
    tell(out, " ".join(exercise.task.split()))
    tell(out, f"\nThe tree to work in, a copy of this checkout made for the exercise:\n    {target}")
    tell(out, f"Chapter: docs/{exercise.page}.rst\n{exercise.checked}")
    if exercise.shown_by:
        tell(out, f"\nIn that tree, build and run it with:\n    python3 -m build_scripts {exercise.shown_by}")
    tell(out, "When you think that it is done, from any directory:\n    python3 -m build_scripts exercise check")
    return int(ExitCode.OK)


def mend(name: str) -> int:
    """Take the fault out of an exercise's tree.

    Raises:
        LabError: there is no such exercise, it was not begun, or the place of the fault has changed.
    """
    exercise = find(name)
    target = tree.mend(exercise)
    say(f"mended: {target}\nwhat it undid: {tree.PATCHES / exercise.name}.patch")
    return int(ExitCode.OK)


def check(name: str | None) -> int:
    """Build and run an exercise's tree and say whether the exercise is done.

    Args:
        name: which one; None for the one that was begun or checked last.
    Raises:
        LabError: there is no such exercise, or it was not begun.
    """
    chosen = name or tree.last_begun()
    if chosen is None:
        raise LabError("no exercise has been begun", ExitCode.USAGE, remedy="exercise --list names them")
    exercise = find(chosen)
    tree.begun(exercise)
    with step(f"building and running the tree of {exercise.name}") as shown:
        trial = tree.try_out(exercise, shown.line)
    try:
        wrong = exercise.wrong(trial)
    except RecordError as error:
        raise LabError(f"a log of the run in {tree.place(exercise)}: {error}", ExitCode.EXPECTATION_FAILED) from error
    except (KeyError, TypeError) as error:
        raise LabError(
            f"the tree of {exercise.name} tells less than this lab's run does: {error} is missing in its facts",
            ExitCode.EXPECTATION_FAILED,
            remedy=f"if it is a tree of an older checkout, begin anew: exercise {exercise.name} --again",
        ) from error
    if not wrong:
        print(f"{exercise.name}: passed")
        return int(ExitCode.OK)
    tell(console(), "\n  ".join([f"{exercise.name}: not yet", *wrong]))
    return int(ExitCode.EXPECTATION_FAILED)
