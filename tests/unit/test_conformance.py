# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How the checks of a run become the statuses of rules."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from build_scripts import cli
from build_scripts.commands import conformance
from build_scripts.conformance import engine, image_build, page_text
from build_scripts.conformance.engine import Evidence, Status, judge
from build_scripts.conformance.image_run import parse_log
from build_scripts.conformance.image_table import Image
from build_scripts.conformance.rules import LEFT_OUT, Rule, RuleTable, load
from build_scripts.conformance.shards import WHOLE
from build_scripts.errors import ExitCode, LabError

A, B = "VMX-INS-01", "VMX-INS-02"
PASSED, FAILED_RUN = 0x21, 0x23
CHECK = "CHECK id={} name=n result={} detail=got:0x0\n"
END = "END checks={} failures=0\n"


def _rule(name: str = A, untestable: str = "", unconfirmed: str = "", untested: bool = False) -> Rule:
    return Rule(name, "INS", "VMXON", "A sentence.", untestable, unconfirmed, untested)


def _evidence(log: str, status: int | None = PASSED, image: Image | None = None) -> Evidence:
    evidence = Evidence()
    evidence.add(image or Image("one", ("t.c",), at_least=0), parse_log(log, status))
    return evidence


def test_passed() -> None:
    """All checks that name the rule passed."""
    evidence = _evidence(CHECK.format(A, "pass") * 2 + END.format(2))
    assert judge(_rule(), evidence).status is Status.PASSED
    assert evidence.problems == []


def test_one_failure_fails_the_rule() -> None:
    """The reason names the image, the check and the values; other rules are not touched."""
    log = CHECK.format(A, "pass") + CHECK.format(A, "fail") + CHECK.format(B, "pass") + END.format(3)
    evidence = _evidence(log, FAILED_RUN)
    verdict = judge(_rule(), evidence)
    assert verdict.status is Status.FAILED
    assert verdict.reason == "one: n, got:0x0"
    assert judge(_rule(B), evidence).status is Status.PASSED


def test_no_check_is_no_pass() -> None:
    """A rule that nothing named in the run has failed, unless the table says why."""
    evidence = _evidence(CHECK.format(B, "pass") + END.format(1))
    assert judge(_rule(), evidence).status is Status.FAILED
    assert judge(_rule(untestable="invisible"), evidence).status is Status.UNTESTABLE
    assert judge(_rule(unconfirmed="the manual leaves it open"), evidence).status is Status.UNCONFIRMED


def test_untested_is_a_status_of_its_own() -> None:
    """It is no failure and no pass, and is not mixed up with what the manual leaves open."""
    evidence = _evidence(CHECK.format(B, "pass") + END.format(1))
    verdict = judge(_rule(untested=True), evidence)
    assert (verdict.status, verdict.reason) == (Status.UNTESTED, "no check names it yet")
    table = RuleTable("vmx", {"INS": "Instructions"}, {A: _rule(untested=True), B: _rule(B)})
    out = io.StringIO()
    Console(file=out, width=120).print(engine.summary(table, engine.verdicts(table, evidence)))
    heading, total = (next(line for line in out.getvalue().splitlines() if word in line) for word in ("area", "all"))
    assert "untested" in heading and re.findall(r"\d+", total) == ["2", "1", "0", "0", "0", "1"]


def test_not_offered() -> None:
    """A skipped check is not a pass."""
    evidence = _evidence(f"SKIP id={A} name=n reason=not-offered\n" + CHECK.format(B, "pass") + END.format(1))
    verdict = judge(_rule(), evidence)
    assert (verdict.status, bool(verdict.reason)) == (Status.UNTESTABLE, True)


def test_golden_results_may_fail() -> None:
    """An unconfirmed rule whose check fails has failed."""
    evidence = _evidence(CHECK.format(A, "fail") + END.format(1), FAILED_RUN)
    assert judge(_rule(unconfirmed="golden"), evidence).status is Status.FAILED


@pytest.mark.parametrize(
    ("log", "status", "at_least"),
    [
        (CHECK.format(A, "pass"), PASSED, 0),
        (CHECK.format(A, "pass") + END.format(1), None, 0),
        (CHECK.format(A, "pass") + END.format(1), PASSED, 2),
        (CHECK.format(A, "pass") + "PANIC vector=13\n", 0x25, 0),
    ],
    ids=["no-end", "hang", "too-few", "panic"],
)
def test_broken_image_is_a_problem(log: str, status: int | None, at_least: int) -> None:
    """What an image did not get to must not go unnoticed."""
    assert _evidence(log, status, Image("one", ("t.c",), at_least=at_least)).problems


def test_known_deviation_fails_the_rule() -> None:
    """A deviation that the test-suite accepts is still a failed rule, and no problem of the image."""
    image = Image("one", ("t.c",), at_least=0, deviations=(f"{A} n",))
    evidence = _evidence(CHECK.format(A, "fail") + "END checks=1 failures=1\n", FAILED_RUN, image)
    assert judge(_rule(), evidence).status is Status.FAILED
    assert evidence.problems == []


def test_shutdown_is_a_check() -> None:
    """An announced shutdown counts for its rule, if it came."""
    image = Image("one", ("t.c",), at_least=0, ends_in_shutdown=True)
    log = f"EXPECT-SHUTDOWN id={A} name=z checks=0 failures=0\n"
    assert judge(_rule(), _evidence(log, 0, image)).status is Status.PASSED
    assert judge(_rule(), _evidence(log, PASSED, image)).status is Status.FAILED


def test_json_obeys_its_schema() -> None:
    """Every status is in it."""
    verdicts = [engine.Verdict(_rule(), status, "") for status in Status]
    facts = engine.as_json("vmx", "QEMU 10.0.13", verdicts, ["one: hang"])
    assert json.loads(json.dumps(facts))["machine"] == "QEMU 10.0.13"


def test_page_names_every_rule() -> None:
    """Also controls by name, and what is left out."""
    table = load("vmx")
    rows = [(rule, "passed", "") for rule in table.rules.values()]
    other = _rule("DM-INS-01")
    suites = {"vmx": rows, "dual-monitor": [(other, "untested", "no check names it yet")]}
    text = page_text.page(table, suites, {0x48D: 0x3F_0000_0016}, LEFT_OUT)
    numbers = {
        heading: [line.strip() for line in text.split(f"* - {heading}\n")[1].splitlines()[:6]] for heading in suites
    }
    assert numbers["vmx"] == [f"- {number}" for number in (len(rows), len(rows), 0, 0, 0, 0)]
    assert numbers["dual-monitor"] == ["- 1", "- 0", "- 0", "- 0", "- 0", "- 1"]
    assert other.id in text
    assert all(name in text for name in table.rules)
    assert "external-interrupt exiting" in text
    assert "Not offered: activate VMX-preemption timer, process posted interrupts." in text
    assert all(part in text for part, _controls in LEFT_OUT)


def test_counts_add_up() -> None:
    """The table of areas has a row for each and one for all."""
    table = RuleTable("vmx", {"INS": "Instructions"}, {A: _rule(), B: _rule(B)})
    verdicts = [engine.Verdict(rule, Status.PASSED) for rule in table.rules.values()]
    assert engine.summary(table, verdicts).row_count == 2


def test_outside_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed lab without its checkout says so."""
    monkeypatch.setattr(image_build, "IMAGES", tmp_path / "images")
    with pytest.raises(LabError) as caught:
        image_build.need_images()
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("named", ["/nonexistent/qemu", "/etc/passwd", "/", "/bin/true", "/bin/cat"])
@pytest.mark.parametrize("arguments", [["conformance", "--suite", "vmx"], ["bench", "--quick"]])
def test_named_machine_must_be_one(
    named: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and its remedy, not a thousand failed rules, and no reason to take another machine."""
    monkeypatch.setenv("STMLAB_QEMU", named)
    assert cli.main(arguments) == ExitCode.USAGE
    out, error = capsys.readouterr()
    assert out == "" and error.startswith(f"stmlab: STMLAB_QEMU={named} ") and error.count("\n") == 2
    assert "remedy: name a machine that the lab built, or unset STMLAB_QEMU" in error


def test_page_is_of_one_suite(tmp_path: Path) -> None:
    """The page is about plain VMX."""
    with pytest.raises(LabError) as caught:
        conformance.conformance("dual-monitor", WHOLE, None, tmp_path / "page.rst")
    assert caught.value.code is ExitCode.USAGE
