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
        script: Shell commands whose run shows the fault, and later that it is gone.
        options: further ones of ``run``.
        wrong: sentences about what is still wrong in a run; none if the exercise is done.
    """

    name: str
    title: str
    page: str
    task: str
    script: tuple[str, ...]
    wrong: Callable[[Trial], list[str]]
    options: tuple[str, ...] = ()


def unfinished(trial: Trial) -> list[str]:
    """What holds of every exercise: the tree builds, the guest comes to its end, each command succeeds."""
    if trial.status == ExitCode.OK and trial.document is not None:
        return []
    said = [line.removeprefix("stmlab: ") for line in trial.errors.splitlines() if line.strip()]
    wanted = [line for line in said if not line.startswith(("building", "booting", "STM built", "logs", "log:"))]
    words: dict[int, str] = {
        ExitCode.BUILD_FAILED: "the tree does not build",
        ExitCode.GUEST_HUNG: "the guest does not come to its end",
        ExitCode.GUEST_CRASHED: "the STM or the executive monitor crashes",
    }
    known = words.get(trial.status, f"the run ends with code {trial.status}")
    return ["\n    ".join([known, *wanted[:6]])]
