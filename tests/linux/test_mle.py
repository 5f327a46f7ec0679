# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Linux as the executive monitor, as its page shows it: every expectation met, and its facts as the schema says."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.experiments import document
from build_scripts.experiments.linux_mle import PHASES
from tests.support.carried import Carried, carry_out
from tests.support.screens import complaints


@pytest.fixture(scope="module")
def run(session_folder: Path) -> Carried:
    """The run of the page, and no other boot."""
    carried = carry_out(("linux-mle",), session_folder)
    assert carried.status == 0, carried.output + carried.errors
    return carried


def test_every_expectation_is_met(run: Carried) -> None:
    document.validate(run.document)
    assert complaints(run.output) == []
    assert [expectation for expectation in run.document["expectations"] if not expectation["passed"]] == []
    rows = {row["phase"]: row for row in run.document["rows"]}
    assert list(rows) == [phase.name for phase in PHASES]
    for phase in PHASES:
        assert rows[phase.name]["served_by"] == phase.served_by
        assert rows[phase.name]["raised"] >= 10


def test_the_stm_started_and_stopped_as_often_on_each_processor(run: Carried) -> None:
    """Launches without KVM, with it, after hot-plug on the second one, after S3; each ended by STOP."""
    (stream,) = run.streams
    # The processor that opens a session has the STM's first block, so the records do not tell which one it is.
    assert len(stream.of("STM", "start")) == 3 + 4
    assert len(stream.of("STM", "stop")) == len(stream.of("STM", "init")) == 3 + 4 + 1


def test_giving_up_ends_with_stop(run: Carried) -> None:
    """INITIALIZE_PROTECTION without START: the next record of the STM is a STOP, before any SMI."""
    (stream,) = run.streams
    marks = [record.t for record in stream.of("APP", "mle-phase") if record.text("way") in ("between", "given-up")]
    records = [record for record in stream.records if record.source == "STM" and marks[0] < record.t < marks[1]]
    assert [record.event for record in records if record.event in ("init", "start", "stop")] == ["init", "stop"]


@pytest.mark.long
@pytest.mark.parametrize("options", [("--kernel", "backports"), ("--processors", "1")], ids=["6.12", "one-processor"])
def test_other_machines(options: tuple[str, ...], session_folder: Path) -> None:
    """The 6.12 series, whose KVM is in VMX operation before its first virtual machine; a processor by itself."""
    carried = carry_out(("linux-mle", *options), session_folder)
    assert carried.status == 0, carried.output + carried.errors
    assert [expectation for expectation in carried.document["expectations"] if not expectation["passed"]] == []
