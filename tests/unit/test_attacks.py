# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Attacks: what each file declares, which boots they need, and how an outcome is told from what was recorded."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from build_scripts import pages
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.attacking import page, verdicts, words
from build_scripts.experiments.attacking.attack import (
    Attack,
    Attacker,
    Column,
    Judge,
    Outcome,
    Place,
    Step,
    Trace,
)
from build_scripts.experiments.attacking.boots import boots_for, trace_of
from build_scripts.experiments.attacking.catalogue import all_attacks
from build_scripts.experiments.attacking.experiment import Attacks
from build_scripts.experiments.attacking.report import Row, detail
from build_scripts.experiments.experiment import Request
from build_scripts.observation.events import read_stream

from .streams import Logs

ATTACKS = all_attacks()
# Attack.efi's array of words, and the record of a command in fw_cfg's script.
MOST_WORDS = 24
each = pytest.mark.parametrize("name", ATTACKS)


def step(label: str, value: int = 0, result: str = "done", vector: int = 0, violations: int = 0) -> Step:
    return Step(label, "smm", "read", (0, 0, 0, 0), result, vector, violations, value)


def trace(*steps: Step) -> Trace:
    return Trace(steps, ended=True)


SAMPLE = Attack(
    attacker=Attacker.HANDLER,
    goal="read",
    steps="a=read:8:page protect:page:1000 b=protect-msr:176 c=smm.read:8:page",
    judge=verdicts.stolen("c"),
    expects=(Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.BLOCKED),
    stopped_by="x",
)


def test_no_two_files_differ_in_the_attacker_alone(checkout: Path) -> None:
    """The one of the two takes what the other one says."""
    seen: dict[str, str] = {}
    for file in sorted((checkout / "build_scripts/experiments/attacks").glob("*_*.py")):
        said = file.read_text(encoding="utf-8").partition("ATTACK = ")[2]
        said = re.sub(r"    (attacker|place)=.*\n", "", said)
        if said.startswith("Attack("):
            assert seen.setdefault(said, file.name) == file.name


def test_there_are_many_by_everyone() -> None:
    assert len(ATTACKS) >= 40
    assert {attack.attacker for attack in ATTACKS.values()} == set(Attacker)


@each
def test_declaration(name: str, checkout: Path) -> None:
    """What is blocked has somebody who stops it, what is not has a reason; Attack.efi knows every word."""
    attack = ATTACKS[name]
    tried = {attack.expected(column) for column in Column} - {Outcome.NOT_APPLICABLE}
    assert tried, "tried nowhere"
    assert bool(attack.stopped_by) == (Outcome.BLOCKED in tried)
    under_stm = {attack.expected(Column.UNPROTECTED), attack.expected(Column.PROTECTED)}
    assert attack.reason or (Outcome.SUCCEEDED in tried and Outcome.SUCCEEDED not in under_stm)
    assert set(attack.crashes) <= {column for column in Column if attack.expected(column) is Outcome.BLOCKED}
    assert len(attack.goal) <= 90 and not attack.goal.endswith(".")
    if under_stm == {Outcome.SUCCEEDED, Outcome.BLOCKED}:
        asks = attack.words(Column.PROTECTED) != attack.words(Column.UNPROTECTED)
        assert asks or attack.policy, "nothing asks for protection"
    source = (checkout / "StmPkg/Applications/Attack/Words.c").read_text()
    known = dict(re.findall(r'\{ "([a-z.-]+)", +\w+, +(\d),', source))
    for word in attack.steps.split():
        operation, *arguments = word.rpartition("=")[2].removeprefix("smm.").removeprefix("alone.").split(":")
        assert str(len(arguments)) == known[operation], word
        assert len(word) < 160
    assert len(attack.steps.split()) <= MOST_WORDS


def test_protection_is_asked_for_in_the_last_column_only() -> None:
    assert SAMPLE.words(Column.UNPROTECTED) == SAMPLE.words(Column.DEFAULT) == ("a=read:8:page", "c=smm.read:8:page")
    assert SAMPLE.words(Column.PROTECTED) == tuple(SAMPLE.steps.split())


def test_boots_are_few() -> None:
    """One for each column; one more for what ends the platform, and for another image."""
    crashing = dataclasses.replace(SAMPLE, crashes={Column.PROTECTED: "bad-state"})
    image = dataclasses.replace(SAMPLE, image=lambda data: data, place=Place.NATIVE)
    guest = dataclasses.replace(SAMPLE, place=Place.GUEST)
    boots = boots_for({"one": SAMPLE, "two": guest, "three": crashing, "four": image})
    assert [(boot.column.value, boot.attacks, boot.alone) for boot in boots] == [
        ("default", ("one", "three", "two"), False),
        ("default", ("four",), False),
        ("unprotected", ("one", "three", "two"), False),
        ("unprotected", ("four",), False),
        ("protected", ("one", "two"), False),
        ("protected", ("three",), True),
        ("protected", ("four",), False),
    ]
    assert [line for line in boots[0].script if line.startswith("ExecMon")] == [
        "ExecMon.efi start -no-stm -root",
        "ExecMon.efi stop",
        "ExecMon.efi start -no-stm",
        "ExecMon.efi stop",
    ]
    assert boots[1].image == "four" and not any("ExecMon" in line for line in boots[1].script)
    assert boots[4].script[1] == "ExecMon.efi start -root"
    assert {boot.script[-1] for boot in boots} == {"reset -s"}


def test_a_policy_has_a_boot_of_its_own_where_the_stm_protects() -> None:
    policy = dataclasses.replace(SAMPLE, processors=2, policy={"opt/org.stmlab/stm-snapshot": "64"})
    boots = boots_for({"one": dataclasses.replace(SAMPLE, processors=2), "two": policy})
    assert [(boot.column.value, boot.attacks, boot.arguments) for boot in boots] == [
        ("default", ("one", "two"), ()),
        ("unprotected", ("one", "two"), ()),
        ("protected", ("one",), ()),
        ("protected", ("two",), ("-fw_cfg", "name=opt/org.stmlab/stm-snapshot,string=64")),
    ]
    assert boots[3].title == "protected: 1 attacks, 2 processors, stm-snapshot"


@pytest.mark.parametrize(
    ("judge", "steps", "outcome"),
    [
        (verdicts.stolen("a", 7), (step("a", 7),), Outcome.SUCCEEDED),
        (verdicts.stolen("a", 7), (step("a", 8),), Outcome.BLOCKED),
        (verdicts.stolen("a", 7), (step("a", 7, "faulted", 13),), Outcome.BLOCKED),
        (verdicts.changed("a", "b"), (step("a", 1), step("b", 2)), Outcome.SUCCEEDED),
        (verdicts.changed("a", "b"), (step("a", 1), step("b", 1)), Outcome.BLOCKED),
        (verdicts.changed("a", "b"), (step("a", 1), step("b", 1, "faulted", 14)), None),
        (verdicts.left_behind("a", 5), (step("a", 5),), Outcome.SUCCEEDED),
        (verdicts.left_behind("a", 5), (step("a", 6),), Outcome.BLOCKED),
        (verdicts.left_behind("a", 5), (step("a", 5, "faulted", 13),), None),
        (verdicts.answered("a"), (step("a", 0),), Outcome.SUCCEEDED),
        (verdicts.answered("a"), (step("a", 0x80010001),), Outcome.BLOCKED),
        (verdicts.answered("a"), (step("a", 0, "faulted", 6),), Outcome.BLOCKED),
        (verdicts.executed("a"), (step("a", 9),), Outcome.SUCCEEDED),
        (verdicts.executed("a"), (step("a", 0, "faulted", 6),), Outcome.BLOCKED),
        (verdicts.stored("a", "b", 5), (step("a"), step("b", 5)), Outcome.SUCCEEDED),
        (verdicts.stored("a", "b", 5), (step("a"), step("b", 6)), Outcome.BLOCKED),
        (verdicts.stored("a", "b", 5), (step("a", 0, "faulted", 13), step("b", 5)), Outcome.BLOCKED),
        (verdicts.copied("a", "b"), (step("a", 3), step("b", 3)), Outcome.SUCCEEDED),
        (verdicts.copied("a", "b"), (step("a", 3), step("b", 4)), Outcome.BLOCKED),
        (verdicts.copied("a", "b"), (step("a", 2**64 - 1), step("b", 2**64 - 1)), None),
        (verdicts.used("a", "b", 8), (step("a", 9), step("b", 9)), Outcome.SUCCEEDED),
        (verdicts.used("a", "b", 8), (step("a", 9), step("b", 8)), Outcome.BLOCKED),
        (verdicts.used("a", "b", 8), (step("a", 9), step("b", 0)), Outcome.BLOCKED),
        (verdicts.used("a", "b", 8), (step("a", 8), step("b", 9)), None),
        (verdicts.closed("a"), (step("a", 3),), Outcome.SUCCEEDED),
        (verdicts.closed("a"), (step("a", 2**64 - 1),), Outcome.BLOCKED),
    ],
)
def test_verdicts(judge: Judge, steps: tuple[Step, ...], outcome: Outcome | None) -> None:
    verdict = judge(trace(*steps))
    assert verdict.outcome is outcome and verdict.seen


@pytest.mark.parametrize(
    ("steps", "ended", "crash", "outcome"),
    [
        ([step("c", verdicts.SECRET)], True, None, Outcome.SUCCEEDED),
        ([step("c", 0, "faulted", 6, 1)], True, None, Outcome.BLOCKED),
        ([step("c", verdicts.SECRET, "rejected")], True, None, None),
        ([step("c", verdicts.SECRET, "pending")], True, None, None),
        ([], False, None, None),
        ([], False, "bad-state", Outcome.BLOCKED),
        ([], False, "unexpected-exit", None),
    ],
)
def test_outcome_must_be_seen(
    steps: list[Step], ended: bool, crash: str | None, outcome: Outcome | None, tmp_path: Path
) -> None:
    """A step that nobody carried out, an attack without an end, and a crash of another class are no outcome."""
    logs = Logs(tmp_path)
    record = None
    if crash is not None:
        logs.record("stm.log", "STM", "crash", f"class={crash} cpu=0")
        record = read_stream(logs.write()).first("STM", "crash")
    attack = dataclasses.replace(SAMPLE, crashes={Column.PROTECTED: "bad-state"})
    assert attack.verdict(Column.PROTECTED, Trace(tuple(steps), ended, record)).outcome is outcome


def test_unprotected_page_is_no_protected_one() -> None:
    refused = dataclasses.replace(step("-", 0x80010003), operation="protect")
    assert SAMPLE.verdict(Column.PROTECTED, trace(refused, step("c", 5))).outcome is None


def test_traces_are_those_of_the_attack(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    for name in ("one", "two"):
        logs.record("records.log", "APP", "attack-begin", f"name={name} place=root stm=1")
        logs.record(
            "records.log",
            "APP",
            "attack-step",
            f"n=1 label={name} by=shell op=read a=0x8 b=0x10 c=0x0 d=0x0 result=done vector=0 violations=0 value=0x5",
        )
        if name == "one":
            logs.record("records.log", "APP", "attack-end", f"name={name}")
    stream = read_stream(logs.write())
    (boot, *_rest) = boots_for({"one": SAMPLE, "two": SAMPLE, "three": SAMPLE})
    one, two = trace_of("one", boot, stream), trace_of("two", boot, stream)
    assert one is not None and one.ended and [found.label for found in one.steps] == ["one"]
    assert two is not None and not two.ended and two["two"].arguments == (8, 16, 0, 0)
    assert trace_of("three", boot, stream) is None
    row = Row.of("two", SAMPLE, {Column.DEFAULT: two})
    assert [row.outcome(column) for column in Column] == [None, None, None]
    assert len(row.complaints()) == 3
    assert any("it never ended" in line for line in detail(row))


def test_text_becomes_words() -> None:
    assert (
        words.text("page2", "STM: ev=x\n")
        == "write:8:page2+0:763d76653a4d5453".replace("763d76653a4d5453", f"{int.from_bytes(b'STM: ev=', 'little'):x}")
        + f" write:8:page2+8:{int.from_bytes(b'x' + bytes([10]), 'little'):x}"
    )
    assert words.memory_list("mseg").split()[1] == "write:8:page2+8:mseg"


def test_unknown_attack_is_refused() -> None:
    with pytest.raises(LabError) as caught:
        Attacks().check(Request(experiment="attacks", attack="no-such"))
    assert caught.value.code == ExitCode.USAGE and "handler-reads-page" in str(caught.value)
    with pytest.raises(LabError):
        Attacks().check(Request(experiment="attacks", attack="handler-reads-page", rst=Path("p")))


def test_page_is_made_of_the_stored_run(checkout: Path) -> None:
    """The tables are those of ``attacks.json``, which has a line for each attack there is."""
    facts = json.loads((checkout / "docs/reference/attacks.json").read_text())
    assert [attack["name"] for attack in facts["attacks"]] == list(ATTACKS)
    for made in facts["attacks"]:
        attack = ATTACKS[made["name"]]
        assert (made["goal"], made["stopped_by"] or "") == (attack.goal, attack.stopped_by)
        assert [made[column.value] for column in Column] == [attack.expected(column).value for column in Column]
    _, inner, _ = pages.split((checkout / "docs/reference/attacks.rst").read_text())
    assert inner.strip() == page.generated(facts).strip()
