# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an exercise is: a fault to find and mend, and what a run shows while it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from build_scripts.errors import ExitCode
from build_scripts.observation.events import Stream


@dataclass(frozen=True)
class Trial:
    """What a run of the exercise's tree has shown.

    Attributes:
        status: of the command that ran it.
        document: its facts; None if it got not so far.
        errors: what it said on its way.
        answers: the file with the student's answers, if the exercise has one.
        stream: what its logs hold; nothing of a run that did not say where they are.
    """

    status: int
    document: dict[str, Any] | None
    errors: str
    answers: str = ""
    stream: Stream = field(default_factory=lambda: Stream(()))


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        name: on the command line, and of its patches.
        title: a line for the list.
        page: its chapter, relative to ``docs/``, without ending.
        task: what there is to do, for the terminal.
        script: Shell commands that show the fault, and later that it is gone; none if `program` does.
        wrong: sentences that say what is still wrong in a run; none if the exercise is done.
        options: further options of ``run``.
        program: of the command ``bare``, a program without firmware, which shows the same in a second.
        answers: the file of the tree that the student fills in, if nothing is run.
        writes: it is done when something new is written, not when a fault is gone; ``NAME.solution.patch`` is that.
    """

    name: str
    title: str
    page: str
    task: str
    script: tuple[str, ...]
    wrong: Callable[[Trial], list[str]]
    options: tuple[str, ...] = ()
    program: str = ""
    answers: str = ""
    writes: bool = False

    @property
    def checked(self) -> str:
        """What the check looks at, for the terminal."""
        if self.answers:
            return f"The check reads {self.answers}."
        if self.program:
            return f"The check runs the program {self.program} without firmware."
        return "\n    ".join(["The check runs these commands in the Shell:", *self.script])

    @property
    def shown_by(self) -> str:
        """The command of the lab that shows the fault; empty if there is nothing to run."""
        return "" if self.answers else f"bare {self.program}" if self.program else "run"


def wrong_program(trial: Trial) -> list[str]:
    """What a program without firmware did not find as it demands."""
    if trial.document is not None and (trial.document["wrong"] or trial.document["refusals"]):
        refusals = trial.document["refusals"] if trial.document["wrong"] else []
        return [*trial.document["wrong"], *(f"refused: {words}" for words in refusals)]
    return unfinished(trial)


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
