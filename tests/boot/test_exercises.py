# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Exercises on the machine: each fault shows its symptom, and the mended tree passes the same check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts import cli
from build_scripts.errors import ExitCode
from build_scripts.exercises.catalogue import find
from build_scripts.exercises.exercise import Trial
from build_scripts.observation.events import read_stream
from build_scripts.pictures import svg
from tests.boot.conftest import Run

SYMPTOMS = {
    "mseg-header": "the firmware says refused, image-malformed: StaticImageSize:beyond-file",
    "hot-path": r"the STM executes \d,\d{3} instructions for an SMI",
    "exit-handler": "class=unexpected-exit .*\n.*exit reason 10: CPUID",
    "instruction-length": "the guest does not shut down",
}


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def check(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = cli.main(["exercise", "check", name])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "hot-path",
        "exit-handler",
        # The converter's and the loader's words for each fault have tests of their own.
        pytest.param("mseg-header", marks=pytest.mark.long),
        # It hangs until its time is up.
        pytest.param("instruction-length", marks=pytest.mark.long),
    ],
)
def test_a_fault_shows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercise", name]) == 0
    status, said = check(name, capsys)
    assert status == ExitCode.EXPECTATION_FAILED and said.startswith(f"{name}: not yet\n")
    assert re.search(SYMPTOMS[name], said), said


def test_the_mended_tree_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Of both exercises about CPUID, whose mended trees are the checkout's, as those of all exercises."""
    assert cli.main(["exercise", "exit-handler"]) == 0
    assert cli.main(["exercise", "exit-handler", "--solution"]) == 0
    assert check("exit-handler", capsys) == (0, "exit-handler: passed\n")


@pytest.mark.parametrize("name", ["mseg-header", "hot-path"])
def test_an_unchanged_checkout_passes(name: str, stm_run: Run) -> None:
    """What the mended tree is, on the demonstration's boot."""
    assert find(name).wrong(Trial(stm_run.status, stm_run.document, stm_run.errors)) == []


def test_the_stored_smi_is_one_as_it_is_today(stm_run: Run, checkout: Path) -> None:
    """The picture of the chapter shows the transitions of a fresh run, in their order."""
    stored = read_stream(checkout / "docs/runs/one-smi").transitions[:4]
    fresh = stm_run.stream.transitions
    begin = next(i for i, event in enumerate(fresh) if event.kind is stored[0].kind and event.basic_reason == 5)
    assert [(event.kind, event.source, event.target, event.reason) for event in fresh[begin : begin + 4]] == [
        (event.kind, event.source, event.target, event.reason) for event in stored
    ]
    assert len(svg.bars_of(stored)) == 3
