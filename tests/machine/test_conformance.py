# SPDX-License-Identifier: BSD-2-Clause-Patent
"""No rule fails, and the page "What the machine implements" says what a run says."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts import conformance, conformance_page, paths
from build_scripts.conformance import Status
from tests.machine.machine_rules import LEFT_OUT, SUITES, load
from tests.machine.machine_table import TABLE

PAGE = paths.CHECKOUT / "docs" / "reference" / "conformance.rst"

pytestmark = pytest.mark.machine


@pytest.fixture(scope="module")
def evidence(qemu: Path, tmp_path_factory: pytest.TempPathFactory) -> conformance.Evidence:
    """One run of all images."""
    return conformance.collect(qemu, TABLE, tmp_path_factory.mktemp("conformance"))


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_failed(suite: str, evidence: conformance.Evidence) -> None:
    """What the command would print as failed; known deviations stand in the table of images."""
    known = {name.split()[0] for image in TABLE for name in image.deviations}
    verdicts = [conformance.judge(rule, evidence) for rule in load(suite).rules.values()]
    assert [v for v in verdicts if v.status is Status.FAILED and v.rule.id not in known] == []
    assert evidence.problems == []


def test_page_is_current(evidence: conformance.Evidence) -> None:
    """Run the command that the page names if this fails."""
    table = load("vmx")
    verdicts = [conformance.judge(rule, evidence) for rule in table.rules.values()]
    rows = [(verdict.rule, verdict.status.value, verdict.reason) for verdict in verdicts]
    assert PAGE.read_text(encoding="utf-8") == conformance_page.page(table, rows, evidence.msrs, LEFT_OUT)
