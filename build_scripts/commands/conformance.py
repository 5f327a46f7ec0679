# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``conformance``: run the bare-metal images and report rule by rule."""

from __future__ import annotations

import json
from pathlib import Path

from build_scripts import paths
from build_scripts.builds import qemu_build
from build_scripts.commands.output import need_writable
from build_scripts.conformance import engine, page_text
from build_scripts.conformance.image_build import need_images
from build_scripts.conformance.image_table import TABLE
from build_scripts.conformance.rules import LEFT_OUT, SUITES, load
from build_scripts.errors import ExitCode, LabError
from build_scripts.observation import show
from build_scripts.progress import say


def page_of(evidence: engine.Evidence) -> str:
    """The page of the documentation for what a run has shown."""
    suites = {
        name: [(v.rule, v.status.value, v.reason) for v in engine.verdicts(load(name), evidence)] for name in SUITES
    }
    return page_text.page(load(page_text.SUITE), suites, evidence.msrs, LEFT_OUT)


def conformance(suite: str, json_file: Path | None, page: Path | None) -> int:
    """Run a suite, print it, and write what was asked for.

    Returns:
        OK only if no rule failed and every image ended as it should.
    Raises:
        LabError: no machine, no images, or a file cannot be written.
    """
    if page is not None and suite != page_text.SUITE:
        raise LabError(f"--page belongs to --suite {page_text.SUITE}", ExitCode.USAGE)
    need_writable("--json", json_file)
    need_writable("--page", page)
    need_images()
    machine = qemu_build.find_machine()
    table = load(suite)
    folder = paths.new_run_dir("conformance")
    evidence = engine.collect(machine, TABLE, folder)
    verdicts = engine.verdicts(table, evidence)
    out = show.console()
    out.print(engine.summary(table, verdicts))
    failed = [verdict for verdict in verdicts if verdict.status is engine.Status.FAILED]
    for verdict in failed:
        out.print(f"failed {verdict.rule.id}: {verdict.rule.text} ({verdict.reason})", markup=False)
    for problem in evidence.problems:
        out.print(f"problem {problem}", markup=False)
    facts = engine.as_json(suite, machine, verdicts, evidence.problems)
    texts = []
    if json_file is not None:
        texts.append((json_file, json.dumps(facts, indent=2) + "\n"))
    if page is not None:
        texts.append((page, page_of(evidence)))
    for path, text in texts:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}", ExitCode.USAGE) from error
    say(f"logs: {folder}")
    return ExitCode.EXPECTATION_FAILED if failed or evidence.problems else ExitCode.OK
