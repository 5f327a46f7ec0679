# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``conformance``: run the bare-metal images and report rule by rule.

The images, the table of rules and the code that builds and runs them belong to
the tests and live in the checkout only; they are imported when they are needed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
from rich.table import Table

from build_scripts import conformance_page, paths, processors, qemu_build, show
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import say, step

if TYPE_CHECKING:
    from tests.machine.machine_rules import Rule, RuleTable
    from tests.machine.machine_run import Outcome
    from tests.machine.machine_table import Image

SUITES = ("vmx", "dual-monitor")
SCHEMA = Path(__file__).parent / "schema" / "conformance-1.json"
_SKIP = re.compile(r"^SKIP id=(\S+) ", re.MULTILINE)
_MSR = re.compile(r"^MSR index=(0x[0-9a-f]+) value=(0x[0-9a-f]+)$", re.MULTILINE)


class Status(StrEnum):
    """What a run says about a rule."""

    PASSED = "passed"
    FAILED = "failed"
    UNTESTABLE = "untestable"
    UNCONFIRMED = "unconfirmed"


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
        return Verdict(rule, Status.FAILED, "; ".join(failures))
    if rule.untestable:
        return Verdict(rule, Status.UNTESTABLE, rule.untestable)
    if rule.unconfirmed:
        return Verdict(rule, Status.UNCONFIRMED, rule.unconfirmed)
    if evidence.passed[rule.id]:
        return Verdict(rule, Status.PASSED)
    if rule.id in evidence.skipped:
        return Verdict(rule, Status.UNTESTABLE, "this machine does not offer it")
    return Verdict(rule, Status.FAILED, "no check named it in this run")


def find_machine() -> Path:
    """The binary that ``STMLAB_QEMU`` names, else the one that the lab builds.

    Raises:
        LabError: there is none.
    """
    named = os.environ.get("STMLAB_QEMU")
    if named and not Path(named).exists():
        raise LabError(f"STMLAB_QEMU={named} does not exist", ExitCode.USAGE)
    return Path(named) if named else qemu_build.extended_qemu()


def need_images() -> None:
    """Make the package of the images importable.

    Raises:
        LabError: this is no checkout, or a tool that builds images is missing.
    """
    if not (paths.CHECKOUT / "tests" / "machine" / "images").is_dir():
        raise LabError(f"{paths.CHECKOUT} holds no test images", ExitCode.USAGE, remedy="run it from the checkout")
    if str(paths.CHECKOUT) not in sys.path:
        sys.path.insert(0, str(paths.CHECKOUT))
    from tests.machine.machine_build import missing_tools

    if missing := missing_tools():
        raise LabError(f"the images need {', '.join(missing)}", ExitCode.MISSING_PACKAGES)


def collect(machine: Path, images: Iterable[Image], folder: Path) -> Evidence:
    """Build and run the images one after the other; each leaves its log in a folder of its name.

    Raises:
        LabError: an image cannot be built.
    """
    from tests.machine.machine_build import BuildError, build_image
    from tests.machine.machine_run import run_image

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
                raise LabError(f"image {image.name} cannot be built", log=work / "build.log") from error
            evidence.add(image, run_image(machine, rom.rom, work, image.cpu, image.extra))
    return evidence


def summary(table: RuleTable, verdicts: list[Verdict]) -> Table:
    """Counts by area."""
    shown = Table(title=f"Conformance, suite {table.suite}")
    shown.add_column("area")
    for heading in ("rules", *Status):
        shown.add_column(str(heading), justify="right")
    counts = {area: Counter(v.status for v in verdicts if v.rule.area == area) for area in table.areas}
    for area, count in counts.items():
        shown.add_row(table.areas[area], str(count.total()), *(str(count[status] or "") for status in Status))
    total = Counter(v.status for v in verdicts)
    shown.add_section()
    shown.add_row("all", str(total.total()), *(str(total[status]) for status in Status))
    return shown


def as_json(suite: str, machine: Path, verdicts: list[Verdict], problems: list[str]) -> dict[str, object]:
    """The facts, checked against the schema."""
    rules = [{"id": v.rule.id, "area": v.rule.area, "status": v.status.value, "reason": v.reason} for v in verdicts]
    facts: dict[str, object] = {
        "schema_version": 1,
        "suite": suite,
        "machine": f"QEMU {processors.version(machine)}",
        "problems": problems,
        "rules": rules,
    }
    jsonschema.validate(facts, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return facts


def conformance(suite: str, json_file: Path | None, page: Path | None) -> int:
    """Run a suite, print it, and write what was asked for.

    Returns:
        OK only if no rule failed and every image ended as it should.
    Raises:
        LabError: no machine, no images, or a file cannot be written.
    """
    if page is not None and suite != conformance_page.SUITE:
        raise LabError(f"--page belongs to --suite {conformance_page.SUITE}", ExitCode.USAGE)
    need_images()
    from tests.machine.machine_rules import LEFT_OUT, load
    from tests.machine.machine_table import TABLE

    machine = find_machine()
    table = load(suite)
    folder = paths.new_run_dir("conformance")
    evidence = collect(machine, TABLE, folder)
    verdicts = [judge(rule, evidence) for rule in table.rules.values()]
    out = show.console()
    out.print(summary(table, verdicts))
    failed = [verdict for verdict in verdicts if verdict.status is Status.FAILED]
    for verdict in failed:
        out.print(f"failed {verdict.rule.id}: {verdict.rule.text} ({verdict.reason})", markup=False)
    for problem in evidence.problems:
        out.print(f"problem {problem}", markup=False)
    facts = as_json(suite, machine, verdicts, evidence.problems)
    texts = []
    if json_file is not None:
        texts.append((json_file, json.dumps(facts, indent=2) + "\n"))
    if page is not None:
        rows = [(v.rule, v.status.value, v.reason) for v in verdicts]
        texts.append((page, conformance_page.page(table, rows, evidence.msrs, LEFT_OUT)))
    for path, text in texts:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}", ExitCode.USAGE) from error
    say(f"logs: {folder}")
    return ExitCode.EXPECTATION_FAILED if failed or evidence.problems else ExitCode.OK
