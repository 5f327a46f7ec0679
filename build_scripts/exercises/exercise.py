# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an exercise is: a fault to find and mend, and what a run shows while it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from build_scripts.errors import ExitCode


@dataclass(frozen=True)
class Trial:
    """What a run of the exercise's tree has shown.

    Attributes:
        status: of the command ``run``.
        document: its facts; None if it got not so far.
        errors: what it said on its way.
    """

    status: int
    document: dict[str, Any] | None
    errors: str


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        name: on the command line, and of its patches.
        title: a line for the list.
        page: its chapter, relative to ``docs/``, without ending.
        task: what there is to do, for the terminal.
        script: Shell commands that show the fault, and later that it is gone.
        options: further options of ``run``.
        wrong: sentences that say what is still wrong in a run; none if the exercise is done.
    """

    name: str
    title: str
    page: str
    task: str
    script: tuple[str, ...]
    wrong: Callable[[Trial], list[str]]
    options: tuple[str, ...] = ()


# Lines of what a run said that a student sees.
_MOST_LINES = 6
_TRACEBACK = "Traceback (most recent call last):"
_NOISE = ("building", "booting", "STM built", "logs", "log:")


def cause(errors: str) -> list[str]:
    """The lines that say why a run failed.

    Of a Python error these are the place in the tree and the error itself, which come last.

    Args:
        errors: everything that the run said.
    """
    said = [line.removeprefix("stmlab: ") for line in errors.splitlines() if line.strip()]
    wanted = [line for line in said if not line.startswith(_NOISE)]
    if _TRACEBACK in wanted:
        wanted = wanted[wanted.index(_TRACEBACK) :]
        places = [index for index, line in enumerate(wanted) if line.startswith("  File ")]
        return wanted[places[-1] if places else 0 :][:_MOST_LINES]
    shown = wanted[:_MOST_LINES]
    return shown if shown == wanted else [*shown, f"... and {len(wanted) - _MOST_LINES} more lines"]


def unfinished(trial: Trial) -> list[str]:
    """What holds of every exercise: the tree builds, the guest shuts down, and each command succeeds."""
    if trial.status == ExitCode.OK and trial.document is not None:
        return []
    words: dict[int, str] = {
        ExitCode.BUILD_FAILED: "the tree does not build",
        ExitCode.GUEST_HUNG: "the guest does not shut down",
        ExitCode.GUEST_CRASHED: "the STM or the executive monitor crashes",
        ExitCode.EXPECTATION_FAILED: "the run does not show what it should",
    }
    if _TRACEBACK in trial.errors:
        known = "a Python program in the tree fails"
    else:
        known = words.get(trial.status, f"the run ended with exit code {trial.status}")
    return ["\n    ".join([known, *cause(trial.errors)])]
