# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the rules say of an operation, and what was seen."""

from __future__ import annotations

from build_scripts.model.platform import Seen
from build_scripts.model.processor import Observation, Result
from build_scripts.model.sequences import Sequence


def _fits(expected: object, seen: object) -> bool:
    """None is undefined, and of a set any member will do."""
    if isinstance(expected, frozenset):
        return seen in expected
    return expected is None or expected == seen


def _result_fits(expected: Result, seen: Result) -> bool:
    if (expected.failed, expected.fault) != (seen.failed, seen.fault):
        return False
    if expected.failed:
        return seen.errors <= expected.errors if expected.errors else not seen.errors
    return seen.value in expected.value if isinstance(expected.value, frozenset) else expected.value == seen.value


def difference(expected: Observation | None, seen: Observation | None) -> str:
    """In one line; empty if there is none."""
    if expected is None:
        return "" if seen is None else f"{seen.program}, {seen.how} on the machine, no change by the rules"
    if seen is None:
        return "nothing was seen"
    for name in ("program", "how", "nmis"):
        if getattr(expected, name) != getattr(seen, name):
            return f"{name}: {getattr(expected, name)} by the rules, {getattr(seen, name)} on the machine"
    if expected.result is not None and seen.result is not None and not _result_fits(expected.result, seen.result):
        return f"result: {expected.result} by the rules, {seen.result} on the machine"
    for name, value in (expected.exit or {}).items():
        assert seen.exit is not None
        if not _fits(value, seen.exit[name]):
            return f"{name}: {value!r} by the rules, {seen.exit[name]!r} on the machine"
    return ""


def _differences(expected: Seen, seen: Seen) -> str:
    """Of all processors, in one line; empty if there are none."""
    texts = [difference(*pair) for pair in zip(expected, seen, strict=True)]
    if len(texts) > 1:
        texts = [f"processor {number}: {text}" if text else "" for number, text in enumerate(texts)]
    return "; ".join(filter(None, texts))


def first_difference(sequence: Sequence, seen: list[Seen]) -> tuple[int, str] | None:
    """The number of the operation and what differs; None if the machine did what the rules say."""
    for number, (expected, found) in enumerate(zip(sequence.expected, seen, strict=True)):
        if text := _differences(expected.seen, found):
            return number, text
    return None


def _where(seen: Seen) -> str:
    """Which programs run, of two processors those that an operation has changed."""
    texts = [f"{one.program}, {one.how}" if one is not None else "-" for one in seen]
    return " | ".join(texts)


def told(sequence: Sequence, seen: list[Seen]) -> str:
    """A sequence as text, up to the first difference."""
    found = first_difference(sequence, seen)
    last = found[0] if found is not None else len(sequence.operations) - 1
    lines = [f"  9BH = {', '.join(f'{value:#x}' for value in sequence.monitor_ctl)}"]
    for number, (operation, observations) in enumerate(zip(sequence.operations, seen, strict=True)):
        if number > last:
            break
        home = "  (on the way home)" if number >= sequence.drawn else ""
        lines.append(f"  {number:3} {operation}: {_where(observations)}{home}")
    if found is not None:
        lines.append(f"      {found[1]}")
    return "\n".join(lines)
