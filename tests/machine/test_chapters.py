# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The chapters' programs do what the chapters say, word for word; and the command that runs them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from build_scripts import cli, paths
from build_scripts.bare.catalogue import PROGRAMS, Program, find
from build_scripts.bare.engine import carry_out
from build_scripts.commands import bare
from build_scripts.errors import ExitCode
from build_scripts.exercises.catalogue import EXERCISES
from build_scripts.exercises.exercise import Trial
from build_scripts.observation.events import Kind, Mode

IO_SMI = 5
COLUMNS = 80
TUTORIAL = paths.CHECKOUT / "docs" / "tutorial"
# A comment that names the run, and the block behind it.
_SEEN = re.compile(r"^\.\. seen: bare (\S+)\n\n\.\. code-block:: text\n\n((?:   .*\n|\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    page: str
    program: str
    lines: tuple[str, ...]


def shown() -> list[Shown]:
    found = []
    for path in sorted(TUTORIAL.glob("*.rst")):
        for name, block in _SEEN.findall(path.read_text(encoding="utf-8")):
            lines = tuple(line.removeprefix("   ") for line in block.rstrip("\n").split("\n"))
            found.append(Shown(path.stem, name, lines))
    return found


def still_wrong(program: str, document: dict[str, Any]) -> list[str]:
    """What the checks of its exercises say of a run of the checkout's, which is what the mended tree is."""
    exercises = [exercise for exercise in EXERCISES if exercise.program == program]
    assert exercises or program == "activate"
    exercises = [exercise for exercise in exercises if not exercise.writes]
    return [words for exercise in exercises for words in exercise.wrong(Trial(ExitCode.OK, document, ""))]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_each_program_has_its_chapter() -> None:
    """Only the VMM of one's own writes nothing; its page shows its source."""
    assert {one.program for one in shown()} == {program.name for program in PROGRAMS} - {"own-vmm"}


@pytest.mark.parametrize("one", shown(), ids=lambda one: one.page + "-" + one.program)
def test_the_page_shows_what_is_seen(one: Shown) -> None:
    seen = carry_out(find(one.program))
    assert seen.said == one.lines
    assert seen.wrong == [] and seen.outcome.checks
    assert still_wrong(one.program, seen.as_json()) == []
    jsonschema.validate(seen.as_json(), json.loads(bare.SCHEMA.read_text(encoding="utf-8")))


def test_an_smi_by_itself_is_the_same_on_stock_qemu() -> None:
    (here,) = [one for one in shown() if one.program == "smi"]
    seen = carry_out(find("smi"), stock=True)
    assert (seen.said, seen.wrong, seen.stream.transitions) == (here.lines, [], [])


def test_own_vmm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its transitions are on the screen, and in the file: two SMIs of four transitions each."""
    facts = tmp_path / "facts.json"
    assert cli.main(["bare", "own-vmm", "--json", str(facts)]) == ExitCode.OK
    said = capsys.readouterr().out
    document = json.loads(facts.read_text())
    events = document["transitions"]
    assert still_wrong("own-vmm", document) == []
    kinds = [event["kind"] for event in events]
    assert all(kind in said for kind in kinds)
    smis = [index for index, event in enumerate(events) if event["reason"] & 0xFFFF == IO_SMI]
    four = ["smm-exit", "handler-entry", "handler-exit", "smm-return"]
    assert [kinds[index : index + 4] for index in smis] == [four, four]
    assert max(map(len, said.split("logs:")[0].splitlines())) <= COLUMNS


def test_the_stm_owns_its_vmcs() -> None:
    """The VMCS of the VMCALL comes back to the VMM, and SMM VM exits load another one, in MSEG."""
    events = carry_out(find("activate")).stream.transitions
    activating = next(event for event in events if event.kind is Kind.ACTIVATE)
    later = [event for event in events if event.kind is Kind.SMM_EXIT]
    assert later and {event.vmcs for event in later} != {activating.vmcs} and len({event.vmcs for event in later}) == 1
    returned = next(event for event in events if event.kind is Kind.SMM_RETURN)
    assert (returned.vmcs, returned.target) == (activating.vmcs, Mode.ROOT)


def test_a_program_by_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    """An image of the machine's own tests, which no name stands for."""
    assert cli.main(["bare", str(paths.CHECKOUT / "tests/machine/images/t_bus.c")]) == ExitCode.OK
    assert "WRONG" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json", "{}/facts.json"], "--json of which program?"),
        (["--qemu", "stock"], "--qemu of which program?"),
        (["no-such"], "no program has the name no-such"),
        (["/etc/passwd"], "no program has the name"),
        (["{}/x.c"], "does not lie below"),
        (["smi", "--json", "/"], "--json"),
    ],
)
def test_refusals(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.c").touch()
    assert cli.main(["bare", *(word.format(tmp_path) for word in words)]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_a_comment_in_any_encoding(tmp_path: Path) -> None:
    source = tmp_path / "mine.c"
    source.write_bytes(b'/* caf\xe9 */\n#include "../stm/stm_under_test.h"\n')
    assert Program("mine", "", str(source)).with_stm
    source.write_bytes(b"/* caf\xe9 */\n")
    assert not Program("mine", "", str(source)).with_stm


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bare", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(program.name in said for program in PROGRAMS)
