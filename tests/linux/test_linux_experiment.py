# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment linux on real boots: every expectation met, and its facts as the schema says."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.experiments import document, linux_guest
from build_scripts.experiments.experiment import Request
from build_scripts.experiments.linux_guest import LinuxExperiment


@pytest.mark.parametrize("processors", [1, 2])
def test_every_expectation_is_met(processors: int, qemu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_guest, "extended_qemu", lambda: qemu)
    experiment = LinuxExperiment()
    request = Request(experiment=experiment.name, processors=processors)
    seen = experiment.boot(request)
    assert experiment.failure(seen) is None, seen.guest.run_dir
    expectations = experiment.expectations(seen)
    assert [expectation for expectation in expectations if not expectation.passed] == [], seen.guest.run_dir
    facts = experiment.facts(seen)
    document.validate(document.compose(experiment.name, processors, facts, expectations, 0))
    assert facts["online"] == facts["variables"] == processors
    assert facts["smis"] > 0 and facts["ended_by"] == "sleep" and facts["log_lines"] == []
