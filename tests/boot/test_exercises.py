# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Exercises on the machine: each fault shows its symptom, and the mended tree passes the same check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts import cli
from build_scripts.errors import ExitCode
from build_scripts.exercises import tree
from build_scripts.exercises.catalogue import find
from build_scripts.exercises.exercise import Trial
from build_scripts.observation.events import read_stream
from build_scripts.pictures import svg
from tests.boot.conftest import Run

SYMPTOMS = {
    "mseg-header": "the firmware says refused, image-malformed: StaticImageSize:beyond-file",
    "hot-path": r"the STM executes \d,\d{3} instructions for an SMI",
    "exit-handler": "class=unexpected-exit .*exit reason 10: CPUID",
    "rdtsc": r"class=unexpected-exit: exit reason 16: RDTSC.*ExitTable\.h",
    "smbase": r"where-the-handler-runs: got:0x30000,want:0x3810000",
    "waits": r"smis-that-the-vmm-knows-of: got:0x0,want:0x3",
    "own-vmm": r"smis: got:0x0,want:0x2 .*refused: .*DM-ACT-13: EXIT_CONTROLS is 0x0",
    "copy-back": r"RIP: the STM:ignored\Z",
    "guard": r"not yet read: came-off,exceptions:0 read: came-off,exceptions:0 write: came-off,exceptions:0\Z",
    "second-attack": r"not yet there is one attack only\Z",
    "standby": r"initialize: got:0x80010015,want:0x0",
    "stranger": r"line 2: .* line 10: ",
    "instruction-length": "the guest does not shut down",
}


# Without firmware, or without a run at all. What the mended trees show the chapters' own tests see.
SECONDS = ("smbase", "waits", "own-vmm", "copy-back", "guard", "second-attack", "standby", "stranger", "rdtsc")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    # So that no line of the screen is wrapped.
    monkeypatch.setenv("COLUMNS", "1000")


def check(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The status, and what was said, as one line: where it is broken is the terminal's affair."""
    capsys.readouterr()
    status = cli.main(["exercise", "check", name])
    return status, " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "name",
    [
        *SECONDS,
        "hot-path",
        # As "rdtsc", of an exit that no control asks for, and under firmware.
        pytest.param("exit-handler", marks=pytest.mark.long),
        # The converter's and the loader's words for each fault have tests of their own.
        pytest.param("mseg-header", marks=pytest.mark.long),
        # It hangs until its time is up.
        pytest.param("instruction-length", marks=pytest.mark.long),
    ],
)
def test_a_fault_shows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercise", name]) == 0
    status, said = check(name, capsys)
    assert status == ExitCode.EXPECTATION_FAILED and said.startswith(f"{name}: not yet ")
    assert re.search(SYMPTOMS[name], said), said


def test_a_handler_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The solution is a file, its line of the INF and a row; without the row nothing asks for the exit."""
    assert cli.main(["exercise", "rdtsc"]) == 0
    assert cli.main(["exercise", "rdtsc", "--solution"]) == 0
    assert check("rdtsc", capsys) == (0, "rdtsc: passed")
    table = tree.place(find("rdtsc")) / "StmPkg/Stm/ExitTable.h"
    table.write_text("".join(line for line in table.open() if "StmExitRdtsc" not in line))
    status, said = check("rdtsc", capsys)
    assert status == ExitCode.EXPECTATION_FAILED and "RDTSC of the SMI handler causes no VM exit" in said


@pytest.mark.long
def test_a_handler_that_forgets_the_instruction_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercise", "rdtsc"]) == 0
    assert cli.main(["exercise", "rdtsc", "--solution"]) == 0
    handler = tree.place(find("rdtsc")) / "StmPkg/Stm/Exit/Rdtsc.c"
    text = handler.read_text()
    handler.write_text(text.replace("  VmxSkipInstruction ();\n", ""))
    assert handler.read_text() != text
    status, said = check("rdtsc", capsys)
    assert status == ExitCode.EXPECTATION_FAILED
    assert "it was still running at the time limit" in said or "class=handler-timeout" in said


@pytest.mark.long
def test_a_guard_that_is_mended_by_half(capsys: pytest.CaptureFixture[str]) -> None:
    """Writes without reads: enough for a page without any access, and no valid entry of the EPT."""
    assert cli.main(["exercise", "guard"]) == 0
    source = tree.place(find("guard")) / "StmPkg/Stm/Protect/Ept.c"
    text = source.read_text()
    source.write_text(text.replace("return EPT_READ | (EPT_RWX", "return (EPT_RWX"))
    assert source.read_text() != text
    status, said = check("guard", capsys)
    assert status == ExitCode.EXPECTATION_FAILED and "exit reason 49: EPT misconfiguration" in said


def test_the_first_attack_under_another_name_is_no_second_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercise", "second-attack"]) == 0
    source = tree.place(find("second-attack")) / "tests/machine/chapters/attack.c"
    text, line = source.read_text(), '    { "read", read_it, read_came_off },\n'
    assert line in text
    source.write_text(text.replace(line, line + line.replace('"read"', '"again"')))
    assert check("second-attack", capsys) == (
        ExitCode.EXPECTATION_FAILED,
        "second-attack: not yet there is one attack only",
    )


@pytest.mark.long
def test_the_mended_tree_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Of both exercises about CPUID, whose mended trees are the checkout's, as those of all exercises."""
    assert cli.main(["exercise", "exit-handler"]) == 0
    assert cli.main(["exercise", "exit-handler", "--solution"]) == 0
    assert check("exit-handler", capsys) == (0, "exit-handler: passed")


@pytest.mark.long
def test_the_second_fault_of_the_vmm_shows_when_the_first_is_mended(capsys: pytest.CaptureFixture[str]) -> None:
    """VMXOFF without STOP."""
    assert cli.main(["exercise", "own-vmm"]) == 0
    source = tree.place(find("own-vmm")) / "tests/machine/stm/own_vmm.c"
    text, line = source.read_text(), "    if (stm(API_INITIALIZE, 0) != STM_SUCCESS) {\n"
    exit_controls = "    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));\n"
    source.write_text(text.replace(line, exit_controls + line))
    status, said = check("own-vmm", capsys)
    assert status == ExitCode.EXPECTATION_FAILED
    # No VMCS is current any more, so that there is none to hold the error number.
    assert "VMXOFF failed (VMfailInvalid" in said and "by DM-DEA-19" in said and "DM-ACT-13" not in said


@pytest.mark.parametrize("name", ["mseg-header", "hot-path"])
def test_an_unchanged_checkout_passes(name: str, stm_run: Run) -> None:
    """What the mended tree is, on the demonstration's boot."""
    trial = Trial(stm_run.status, stm_run.document, stm_run.errors, stream=stm_run.stream)
    assert find(name).wrong(trial) == []


def test_the_stored_smi_is_one_as_it_is_today(stm_run: Run, checkout: Path) -> None:
    """The picture of the chapter shows the transitions of a fresh run, in their order."""
    stored = read_stream(checkout / "docs/runs/one-smi").transitions[:4]
    fresh = stm_run.stream.transitions
    begin = next(i for i, event in enumerate(fresh) if event.kind is stored[0].kind and event.basic_reason == 5)
    assert [(event.kind, event.source, event.target, event.reason) for event in fresh[begin : begin + 4]] == [
        (event.kind, event.source, event.target, event.reason) for event in stored
    ]
    assert len(svg.bars_of(stored)) == 3
