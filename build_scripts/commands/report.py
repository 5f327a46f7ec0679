# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``report``: a run as one HTML file."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from build_scripts import paths
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import MACHINE_LOG, RECORD_LOGS, RecordError, read_stream
from build_scripts.observation.report import build_report
from build_scripts.pictures import page
from build_scripts.progress import say

FILE = "report.html"


def _has_records(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*RECORD_LOGS, MACHINE_LOG))


def _last_run() -> Path:
    # Their names begin with the time.
    runs = sorted(path for path in paths.runs_dir().glob("*") if _has_records(path))
    if not runs:
        raise LabError(f"no run is recorded in {paths.runs_dir()}", ExitCode.USAGE, remedy="carry one out: stmlab run")
    return runs[-1]


def find_run(given: str | None) -> Path:
    """The run directory that the user means: a path, the name of one below `paths.runs_dir`, or the last one.

    Raises:
        LabError: there is none, or it has no records.
    """
    if given is None:
        return _last_run()
    for folder in (Path(given), paths.runs_dir() / given):
        if _has_records(folder):
            return folder.resolve()
    raise LabError(
        f"no run with records: {given}",
        ExitCode.USAGE,
        remedy=f"name a run directory, such as 'run' prints at its end, or one of {paths.runs_dir()}",
    )


def _configuration(run_dir: Path) -> Configuration:
    """Of which processor the run was, as its directory's name says; the lab's own otherwise."""
    found = [kind for kind in Configuration if f"-{kind.value}-" in run_dir.name]
    return max(found, key=lambda kind: len(kind.value), default=Configuration.DUAL_MONITOR)


def report(given: str | None, output: Path | None, show: bool) -> int:
    """Write the page of a run; returns an exit code.

    Args:
        given: which run, as `find_run` takes it.
        output: the file; without one ``report.html`` in the run's directory.
        show: also open it in the user's browser.
    Raises:
        LabError: there is no such run, its records lack what they must have, or the file cannot be written.
    """
    run_dir = find_run(given)
    target = output if output is not None else run_dir / FILE
    need_writable("--output", target)
    stream = read_stream(run_dir)
    try:
        facts = build_report(stream, _configuration(run_dir))
        text = page.html(run_dir.name, facts, stream)
    except RecordError as bad:
        raise LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED, log=run_dir) from bad
    target.write_text(text, encoding="utf-8")
    say(f"report: {target}")
    if show and not webbrowser.open(target.resolve().as_uri()):
        raise LabError(f"no browser could be opened for {target}", ExitCode.USAGE, remedy="open the file yourself")
    return int(ExitCode.OK)
