# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``conformance``: run the bare-metal images and report rule by rule."""

from __future__ import annotations

import json
from pathlib import Path

from build_scripts import paths
from build_scripts.builds import qemu_build
from build_scripts.commands.output import need_writable
from build_scripts.conformance import engine, page_text, parts
from build_scripts.conformance.image_build import need_images
from build_scripts.conformance.image_table import TABLE
from build_scripts.conformance.rules import LEFT_OUT, SUITES, load
from build_scripts.conformance.shards import WHOLE, Shard
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors
from build_scripts.observation import show
from build_scripts.progress import say


def page_of(evidence: engine.Evidence) -> str:
    """The page of the documentation for what a run has shown."""
    suites = {
        name: [(v.rule, v.status.value, v.reason) for v in engine.verdicts(load(name), evidence)] for name in SUITES
    }
    return page_text.page(load(page_text.SUITE), suites, evidence.msrs, LEFT_OUT)


def conformance(suite: str, shard: Shard, json_file: Path | None, page: Path | None) -> int:
    """Run a suite or a share of its images, print it, and write what was asked for.

    Returns:
        OK only if no rule failed and every image ended as it should.
    Raises:
        LabError: no machine, no images, or a file cannot be written.
    """
    if page is not None and (suite != page_text.SUITE or shard != WHOLE):
        raise LabError(f"--page belongs to the whole of --suite {page_text.SUITE}", ExitCode.USAGE)
    if shard != WHOLE and json_file is None:
        raise LabError("--shard needs --json FILE: a share by itself says little about a rule", ExitCode.USAGE)
    need_writable("--json", json_file)
    need_writable("--page", page)
    need_images()
    machine = qemu_build.find_machine()
    version = f"QEMU {processors.version(machine)}"
    folder = paths.new_run_dir("conformance")
    evidence = engine.collect(machine, shard.of(TABLE), folder)
    say(f"logs: {folder}")
    if shard == WHOLE or json_file is None:
        return report(suite, version, evidence, json_file, page)
    facts = parts.as_json(suite, version, shard, evidence)
    _write([(json_file, json.dumps(facts, indent=1) + "\n")])
    say(f"share {shard}: {len(evidence.failed)} rules failed, {len(evidence.problems)} problems")
    return ExitCode.EXPECTATION_FAILED if evidence.failed or evidence.problems else ExitCode.OK


def report(suite: str, version: str, evidence: engine.Evidence, json_file: Path | None, page: Path | None) -> int:
    """Print what the images of a run say about each rule, and write what was asked for.

    Args:
        version: name and version of the machine.
    """
    table = load(suite)
    verdicts = engine.verdicts(table, evidence)
    out = show.console()
    out.print(engine.summary(table, verdicts))
    failed = [verdict for verdict in verdicts if verdict.status is engine.Status.FAILED]
    for verdict in failed:
        out.print(f"failed {verdict.rule.id}: {verdict.rule.text} ({verdict.reason})", markup=False)
    for problem in evidence.problems:
        out.print(f"problem {problem}", markup=False)
    texts = []
    if json_file is not None:
        facts = engine.as_json(suite, version, verdicts, sorted(evidence.problems))
        texts.append((json_file, json.dumps(facts, indent=2) + "\n"))
    if page is not None:
        texts.append((page, page_of(evidence)))
    _write(texts)
    return ExitCode.EXPECTATION_FAILED if failed or evidence.problems else ExitCode.OK


def _write(texts: list[tuple[Path, str]]) -> None:
    for path, text in texts:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}", ExitCode.USAGE) from error
