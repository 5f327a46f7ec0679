# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment kvm on a real boot: every expectation met, and its facts as the schema says."""

from __future__ import annotations

from build_scripts.experiments import document
from build_scripts.experiments.experiment import Request
from build_scripts.experiments.kvm import Kvm, KvmSeen

from .conftest import Boot
from .expected import TRACES


def test_every_expectation_is_met(boot: Boot) -> None:
    experiment = Kvm()
    seen = KvmSeen(Request(experiment=experiment.name), boot("default"))
    assert experiment.failure(seen) is None
    expectations = experiment.expectations(seen)
    assert [expectation for expectation in expectations if not expectation.passed] == []
    assert len(expectations) == 5
    facts = experiment.facts(seen)
    document.validate(document.compose(experiment.name, experiment.processors, facts, expectations, 0))
    assert {program["name"]: " ".join(program["trace"]) for program in facts["guest_programs"]} == TRACES
    assert facts["linux_guests"] == ["shutdown"] and facts["parameters"]["ept"] == "Y"
    assert facts["modules"][-1] == {"name": "kvm-intel.ko", "error": 0}
