# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The exercise ``stranger``: the transitions of a trace, and what a student says each of them is."""

from __future__ import annotations

import re

from build_scripts import paths
from build_scripts.exercises.exercise import Trial
from build_scripts.observation.events import Kind, Mode, Transition, parse_trace

ANSWERS = "docs/tutorial/stranger.txt"
TRACE = paths.CHECKOUT / "docs" / "runs" / "stranger" / "machine.log"
WHAT = {
    Kind.VMXON: "VMXON",
    Kind.VMXOFF: "VMXOFF",
    Kind.ENTRY: "VM entry",
    Kind.EXIT: "VM exit",
    Kind.ACTIVATE: "VMCALL that activates",
    Kind.SMM_EXIT: "SMM VM exit",
    Kind.HANDLER_ENTRY: "VM entry to the SMI handler",
    Kind.HANDLER_EXIT: "VM exit of the SMI handler",
    Kind.SMM_RETURN: "VM entry that returns from SMM",
}
WHO = {
    Mode.NONE: "none of these",
    Mode.ROOT: "executive monitor",
    Mode.GUEST: "guest",
    Mode.STM: "STM",
    Mode.HANDLER: "SMI handler",
}
# Number, what it is, who has the processor behind it; what comes behind # is the student's own.
_LINE = re.compile(r"(\d+)\s+([^;#]+?)\s*;\s*([^;#]+?)\s*(?:#.*)?")


def expected(transition: Transition) -> tuple[str, str]:
    """What a transition is, and who has the processor behind it."""
    return WHAT[transition.kind], WHO[transition.target]


def transitions() -> list[Transition]:
    """Those of the trace."""
    return [event for event in parse_trace(TRACE.read_text(encoding="utf-8")) if isinstance(event, Transition)]


def wrong(trial: Trial) -> list[str]:
    """Which lines are not right yet, without a word about what would be."""
    given: dict[int, tuple[str, str]] = {}
    found = []
    for line in trial.answers.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            found.append(f"'{line.strip()}' has not the form NUMBER WHAT; WHO")
            continue
        given[int(match[1])] = (match[2], match[3])
    for number, transition in enumerate(transitions(), 1):
        what, who = expected(transition)
        answer = given.get(number)
        if answer is None:
            found.append(f"line {number} is missing")
            continue
        faults = []
        if answer[0] != what:
            faults.append("say what it is" if answer[0] == "?" else f"not '{answer[0]}'")
        if answer[1] != who:
            faults.append(
                "say who has the processor" if answer[1] == "?" else f"'{answer[1]}' is not who has the processor"
            )
        if faults:
            found.append(f"line {number}: {'; '.join(faults)}")
    return found
