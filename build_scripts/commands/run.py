# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``run``: carry out an experiment, tell what was seen and what was expected, keep the facts."""

from __future__ import annotations

from pathlib import Path

import jsonschema

from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import catalogue, document
from build_scripts.experiments.experiment import DEFAULT_EXPERIMENT, Request, failed, show_expectations
from build_scripts.observation.boots import keep_together
from build_scripts.observation.events import RecordError
from build_scripts.observation.show import console
from build_scripts.pictures import trace
from build_scripts.pictures.boot import clear_errors, read_boots
from build_scripts.progress import say
from build_scripts.tables import compact_table


def list_experiments() -> int:
    """Print the name of each experiment and what it shows."""
    table = compact_table("Experiments", words=("Name", "What it shows"), numbers=())
    for experiment in catalogue.EXPERIMENTS:
        default = " (without a name: this one)" if experiment.name == DEFAULT_EXPERIMENT else ""
        table.add_row(experiment.name, f"{experiment.title}{default}")
    console().print(table)
    return int(ExitCode.OK)


def run(request: Request) -> int:
    """Carry out an experiment; returns an exit code.

    Raises:
        LabError: a build failed or an argument is bad. What the guest did wrong is printed and returned.
    """
    experiment = catalogue.find(request.experiment)
    experiment.check_options(request)
    experiment.check(request)
    need_writable("--json", request.json)
    need_writable("--trace", request.trace)
    seen = experiment.boot(request)
    keep_together(experiment.run_dirs(seen))
    out = console()
    error = experiment.failure(seen)
    logs = experiment.logs(seen)
    try:
        experiment.story(seen, out)
        expectations = experiment.expectations(seen)
        facts = experiment.facts(seen)
    except RecordError as bad:
        error = error or LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED)
        error.log = logs
        raise error from bad
    show_expectations(expectations, out)
    experiment.closing(seen, out)
    error = error or failed(request, expectations)
    errors = [] if error is None else [error]
    if request.json is not None:
        code = ExitCode.OK if error is None else error.code
        made = document.compose(
            experiment.name, experiment.processors_of(request), facts, expectations, exit_status=int(code)
        )
        unwritten = _write(request, made)
        errors += [] if unwritten is None else [unwritten]
    if request.trace is not None:
        untraced = _write_trace(request.trace, experiment.run_dirs(seen))
        errors += [] if untraced is None else [untraced]
    for found in errors:
        found.log = logs
        say(str(found))
    return int(errors[0].code if errors else ExitCode.OK)


def _write(request: Request, made: dict[str, object]) -> LabError | None:
    """Write the JSON document; returns why it could not be written, if so."""
    assert request.json is not None
    try:
        document.write(request.json, made)
    except jsonschema.ValidationError as bad:
        return LabError(f"the facts do not fit the schema: {bad.message}", ExitCode.EXPECTATION_FAILED)
    except OSError as bad:
        return LabError(f"--json: {bad}", ExitCode.USAGE)
    return None


def _write_trace(target: Path, run_dirs: list[Path]) -> LabError | None:
    """Write the trace for Perfetto; returns why it could not be written, if so."""
    try:
        with clear_errors(run_dirs[-1]):
            made = trace.perfetto(read_boots(run_dirs))
        target.write_bytes(made)
    except LabError as bad:
        return bad
    except OSError as bad:
        return LabError(f"--trace: {bad}", ExitCode.USAGE)
    say(f"trace: {target}, to be opened at ui.perfetto.dev")
    return None
