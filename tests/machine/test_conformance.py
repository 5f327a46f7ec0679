# SPDX-License-Identifier: BSD-2-Clause-Patent
"""No rule fails, and the page "What the machine implements" says what a run says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.commands.conformance import page_of
from build_scripts.conformance import engine
from build_scripts.conformance.engine import Status
from build_scripts.conformance.image_table import TABLE, Image
from build_scripts.conformance.rules import SUITES, load
from tests.support.kept_images import outcome_of

PAGE = paths.CHECKOUT / "docs" / "reference" / "conformance.rst"

pytestmark = pytest.mark.machine


@pytest.fixture(scope="module")
def evidence(qemu: Path, session_folder: Path) -> engine.Evidence:
    """What all images said, each run once a session."""
    return _gathered(TABLE, qemu, session_folder)


def _gathered(images: Iterable[Image], qemu: Path, session: Path) -> engine.Evidence:
    evidence = engine.Evidence()
    for image in images:
        evidence.add(image, outcome_of(image, qemu, session))
    return evidence


def test_command_runs_what_the_suite_runs(qemu: Path, session_folder: Path, tmp_path: Path) -> None:
    """Of a few images the command gathers the same."""
    few = TABLE[::40]
    collected = engine.collect(qemu, few, tmp_path)
    assert collected == _gathered(few, qemu, session_folder)
    assert collected.passed and {path.name for path in tmp_path.iterdir()} == {image.name for image in few}


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
