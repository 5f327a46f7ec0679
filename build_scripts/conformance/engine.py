# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs the bare-metal images and judges the rules by what they reported."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import jsonschema
from rich.table import Table

from build_scripts import paths
from build_scripts.conformance.image_build import BuildError, build_image
from build_scripts.conformance.image_run import Outcome, run_image
from build_scripts.conformance.image_table import Image
from build_scripts.conformance.rules import Rule, RuleTable
from build_scripts.errors import LabError
from build_scripts.progress import step
from build_scripts.tables import compact_table

SCHEMA = paths.SCHEMAS / "conformance-2.json"
_SKIP = re.compile(r"^SKIP id=(\S+) ", re.MULTILINE)
_MSR = re.compile(r"^MSR index=(0x[0-9a-f]+) value=(0x[0-9a-f]+)$", re.MULTILINE)


class Status(StrEnum):
    """What a run says about a rule."""

    PASSED = "passed"
    FAILED = "failed"
    UNTESTABLE = "untestable"
    UNCONFIRMED = "unconfirmed"
    UNTESTED = "untested"


@dataclass(frozen=True)
class Verdict:
    """One rule and what the run says about it."""

    rule: Rule
    status: Status
    reason: str = ""


@dataclass
class Evidence:
    """What the images of one run said, by rule."""

    passed: Counter[str] = field(default_factory=Counter)
    failed: dict[str, list[str]] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    msrs: dict[int, int] = field(default_factory=dict)

    def add(self, image: Image, outcome: Outcome) -> None:
        """Take in one run of an image: its checks, and what else is wrong with it."""
        for check in outcome.checks:
            if check.passed:
                self.passed[check.rule] += 1
            else:
                self.failed.setdefault(check.rule, []).append(f"{image.name}: {check.name}, {check.detail}")
        problems = outcome.problems(image.ends_in_shutdown, image.deviations)
        failing = {str(check) for check in outcome.checks if not check.passed}
        others = [problem for problem in problems if problem not in failing]
        if len(outcome.checks) < image.at_least:
            others.append(f"made {len(outcome.checks)} checks of {image.at_least}")
        # An announced shutdown is a check of its own.
        if outcome.shutdown is not None:
            if others:
                self.failed.setdefault(outcome.shutdown, []).append(f"{image.name}: {others[0]}")
            else:
                self.passed[outcome.shutdown] += 1
        if not failing or others[1:]:
            self.problems += [f"{image.name}: {problem}" for problem in others]
        self.skipped |= set(_SKIP.findall(outcome.log))
        for index, value in _MSR.findall(outcome.log):
            self.msrs.setdefault(int(index, 16), int(value, 16))


def judge(rule: Rule, evidence: Evidence) -> Verdict:
    """A rule passes if a check named it and none of them failed."""
    if failures := evidence.failed.get(rule.id):
        return Verdict(rule, Status.FAILED, "; ".join(sorted(failures)))
    if rule.untestable:
        return Verdict(rule, Status.UNTESTABLE, rule.untestable)
    if rule.unconfirmed:
        return Verdict(rule, Status.UNCONFIRMED, rule.unconfirmed)
    if evidence.passed[rule.id]:
        return Verdict(rule, Status.PASSED)
    if rule.untested:
        return Verdict(rule, Status.UNTESTED, "no check names it yet")
    if rule.id in evidence.skipped:
        return Verdict(rule, Status.UNTESTABLE, "this machine does not offer it")
    return Verdict(rule, Status.FAILED, "no check named it in this run")


def verdicts(table: RuleTable, evidence: Evidence) -> list[Verdict]:
    """What a run says about each rule of a suite, in the table's order."""
    return [judge(rule, evidence) for rule in table.rules.values()]


def collect(machine: Path, images: Iterable[Image], folder: Path) -> Evidence:
    """Build and run the images one after the other; each leaves its log in a folder of its name.

    Raises:
        LabError: an image cannot be built.
    """
    evidence = Evidence()
    chosen = list(images)
    with step("conformance") as shown:
        for count, image in enumerate(chosen, 1):
            shown.line(f"[{count}/{len(chosen)}] {image.name}")
            work = folder / image.name
            work.mkdir()
            try:
                rom = build_image(image.sources, image.defines)
            except BuildError as error:
                (work / "build.log").write_text(str(error), encoding="utf-8")
                raise LabError(f"image {image.name} could not be built", log=work / "build.log") from error
            evidence.add(image, run_image(machine, rom.rom, work, image.cpu, image.extra))
    return evidence


def summary(table: RuleTable, verdicts: list[Verdict]) -> Table:
    """Counts by area."""
    shown = compact_table(f"Conformance, suite {table.suite}", words=("area",), numbers=("rules", *map(str, Status)))
    counts = {area: Counter(v.status for v in verdicts if v.rule.area == area) for area in table.areas}
    for area, count in counts.items():
        shown.add_row(table.areas[area], str(count.total()), *(str(count[status] or "") for status in Status))
    total = Counter(v.status for v in verdicts)
    shown.add_section()
    shown.add_row("all", str(total.total()), *(str(total[status]) for status in Status))
    return shown


def as_json(suite: str, machine: str, verdicts: list[Verdict], problems: list[str]) -> dict[str, object]:
    """The facts, checked against the schema.

    Args:
        machine: its name and version.
    """
    rules = [{"id": v.rule.id, "area": v.rule.area, "status": v.status.value, "reason": v.reason} for v in verdicts]
    facts: dict[str, object] = {
        "schema_version": 2,
        "suite": suite,
        "machine": machine,
        "problems": problems,
        "rules": rules,
    }
    jsonschema.validate(facts, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return facts
