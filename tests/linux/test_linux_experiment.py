# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment linux as its page shows it: every expectation met, and its facts as the schema says."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.experiments import document
from tests.support.carried import carry_out
from tests.support.screens import complaints


@pytest.mark.parametrize(("processors", "options"), [(1, ("--processors", "1")), (2, ())])
def test_every_expectation_is_met(processors: int, options: tuple[str, ...], session_folder: Path) -> None:
    run = carry_out(("linux", *options), session_folder)
    assert run.status == 0, run.output + run.errors
    assert complaints(run.output) == []
    facts = run.document
    document.validate(facts)
    assert [expectation for expectation in facts["expectations"] if not expectation["passed"]] == []
    assert facts["processors"] == facts["online"] == facts["variables"] == processors
    assert facts["smis"] > 0 and facts["ended_by"] == "sleep" and facts["log_lines"] == []
