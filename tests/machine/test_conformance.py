# SPDX-License-Identifier: BSD-2-Clause-Patent
"""No rule fails, and the page "What the machine implements" says what a run says."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.commands.conformance import page_of
from build_scripts.conformance import engine
from build_scripts.conformance.engine import Status
from build_scripts.conformance.image_table import TABLE
from build_scripts.conformance.rules import SUITES, load

PAGE = paths.CHECKOUT / "docs" / "reference" / "conformance.rst"

pytestmark = pytest.mark.machine


@pytest.fixture(scope="module")
def evidence(qemu: Path, tmp_path_factory: pytest.TempPathFactory) -> engine.Evidence:
    """One run of all images."""
    return engine.collect(qemu, TABLE, tmp_path_factory.mktemp("conformance"))


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_failed(suite: str, evidence: engine.Evidence) -> None:
    """What the command would print as failed; known deviations stand in the table of images."""
    known = {name.split()[0] for image in TABLE for name in image.deviations}
    verdicts = engine.verdicts(load(suite), evidence)
    assert [v for v in verdicts if v.status is Status.FAILED and v.rule.id not in known] == []
    assert evidence.problems == []


def test_page_is_current(evidence: engine.Evidence) -> None:
    """Run the command that the page names if this fails."""
    assert PAGE.read_text(encoding="utf-8") == page_of(evidence)
