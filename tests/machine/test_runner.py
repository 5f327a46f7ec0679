# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The judge itself: what counts as a failed run of an image."""

from __future__ import annotations

import pytest

from build_scripts.conformance.image_run import parse_log
from build_scripts.conformance.image_table import TABLE

GOOD = "CHECK id=DM-ACT-07 name=x result=pass detail=got:0x1,want:0x1\n"
BAD = "CHECK id=DM-ACT-10 name=y result=fail detail=got:0x0,want:0x1\n"
END = "END checks={} failures=0\n"
SHUTDOWN = "EXPECT-SHUTDOWN id=DM-DEF-15 name=z checks=0 failures=0\n"
PASSED, PANICKED, RESET = 0x21, 0x25, 0


@pytest.mark.parametrize(
    ("log", "status", "shutdown"),
    [
        (GOOD + END.format(1), PASSED, False),
        (SHUTDOWN, RESET, True),
    ],
)
def test_success(log: str, status: int, shutdown: bool) -> None:
    """A complete log without a failing check is a success."""
    assert parse_log(log, status).problems(shutdown) == []


@pytest.mark.parametrize(
    ("log", "status", "shutdown"),
    [
        ("", PASSED, False),
        (END.format(0), PASSED, False),
        (GOOD, PASSED, False),
        (GOOD + END.format(2), PASSED, False),
        (BAD + END.format(1), PASSED, False),
        (GOOD + END.format(1), None, False),
        (GOOD + "PANIC vector=13\n", PANICKED, False),
        ("", RESET, True),
        (SHUTDOWN, None, True),
        (SHUTDOWN + "PANIC vector=13\n", PANICKED, True),
        (SHUTDOWN, -6, True),
        (SHUTDOWN + BAD + END.format(1), PASSED, True),
    ],
)
def test_failure(log: str, status: int | None, shutdown: bool) -> None:
    """Anything missing, failing, hanging or panicking is a failure."""
    assert parse_log(log, status).problems(shutdown)


def test_deviations_must_deviate() -> None:
    """A known failure is accepted, an unknown one or a repaired one is not."""
    log = BAD + END.format(1)
    known = ("DM-ACT-10 y",)
    assert parse_log(log, PASSED).problems(False, known) == []
    assert parse_log(log, PASSED).problems(False, ("DM-ACT-07 x",))
    assert parse_log(GOOD + END.format(1), PASSED).problems(False, known)


def test_failure_names_the_rule() -> None:
    """The rule and the values are in the message."""
    text = "\n".join(parse_log(BAD + END.format(1), PASSED).problems(False))
    assert "DM-ACT-10" in text
    assert "want:0x1" in text


def test_table_names_are_unique() -> None:
    """Two rows of one name would hide each other in a report."""
    names = [image.name for image in TABLE]
    assert len(names) == len(set(names))
