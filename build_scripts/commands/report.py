# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``report``: a run as one HTML file."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from build_scripts import paths
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.observation.boots import boots_of, has_records
from build_scripts.pictures import page
from build_scripts.pictures.boot import clear_errors, read_boots
from build_scripts.progress import say

FILE = "report.html"


def _last_run() -> Path:
    # Their names begin with the time.
    runs = sorted(path for path in paths.runs_dir().glob("*") if has_records(path))
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
        if has_records(folder):
            return folder.resolve()
    raise LabError(
        f"no run with records: {given}",
        ExitCode.USAGE,
        remedy=f"name a run directory, such as 'run' prints at its end, or one of {paths.runs_dir()}",
    )


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
    need_writable("--output" if output is not None else "report", target)
    with clear_errors(run_dir):
        text = page.html(run_dir.name, read_boots(boots_of(run_dir)))
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as bad:
        remedy = "name a file elsewhere with --output"
        raise LabError(f"{target} cannot be written ({bad.strerror})", ExitCode.USAGE, remedy=remedy) from bad
    say(f"report: {target}")
    if show and not webbrowser.open(target.resolve().as_uri()):
        raise LabError(f"no browser could be opened for {target}", ExitCode.USAGE, remedy="open the file yourself")
    return int(ExitCode.OK)
