# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``fuzz``: the STM's pure C with inputs that nobody has thought of."""

from __future__ import annotations

import json
from pathlib import Path

from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.fuzzing import campaign, tools
from build_scripts.fuzzing.targets import load
from build_scripts.observation import show
from build_scripts.progress import say
from build_scripts.tables import compact_table

SCHEMA_VERSION = 1


def _replay(name: str, file: Path) -> int:
    status, text = campaign.replay(tools.built(), load()[name], file)
    print(text, end="")
    if status == 0:
        say(f"{name}: nothing is wrong with {file}")
        return ExitCode.OK
    raise LabError(f"{name} fails on {file}: {campaign.cause_of(text)}", ExitCode.EXPECTATION_FAILED)


def _facts(results: list[campaign.Result]) -> dict[str, object]:
    return {
        "schema_version": SCHEMA_VERSION,
        "clang": tools.version(),
        "calls": sum(result.calls for result in results),
        "targets": [result.as_json() for result in results],
    }


def list_targets() -> int:
    """Print the targets, and what each is about."""
    table = compact_table("fuzz targets", words=("target", "what is fuzzed"), numbers=())
    for target in load().values():
        table.add_row(target.name, target.what)
    show.console().print(table)
    return ExitCode.OK


def fuzz(names: list[str], effort: campaign.Effort, json_file: Path | None, file: Path | None) -> int:
    """Fuzz targets, print what was done, and write what was asked for.

    Args:
        names: of targets; all if there is none.
        file: an input to replay instead, for the one target that is named.
    Raises:
        LabError: clang is missing, a file cannot be read or written, or a target failed.
    """
    known = load()
    for name in names:
        if name not in known:
            raise LabError(f"there is no fuzz target {name}", ExitCode.USAGE, remedy="'fuzz --list' names them")
    if file is not None:
        if len(names) != 1:
            raise LabError("--input belongs to one target", ExitCode.USAGE, remedy="name it: fuzz TARGET --input FILE")
        return _replay(names[0], file)
    need_writable("--json", json_file)
    targets = [known[name] for name in names or known]
    running = campaign.prepare()
    for result in running.fuzz(targets, effort):
        say(f"{result.name}: {result.calls:,} calls, {result.cause or 'nothing found'}")
    results = list(running.results.values())
    table = compact_table("fuzzing", words=("target",), numbers=("inputs tried", "calls", "edges", "corpus"))
    for result in results:
        table.add_row(result.name, f"{result.runs:,}", f"{result.calls:,}", f"{result.covered:,}", f"{result.inputs:,}")
    out = show.console()
    out.print(table)
    out.print(f"{sum(result.calls for result in results):,} calls")
    if json_file is not None:
        json_file.write_text(json.dumps(_facts(results), indent=1) + "\n", encoding="utf-8")
    say(f"logs and corpora: {running.folder}")
    failed = [result for result in results if result.cause]
    if failed:
        lines = [f"{one.name}: {one.cause}\n  again: fuzz {one.name} --input {one.failing}" for one in failed]
        raise LabError("\n".join(lines), ExitCode.EXPECTATION_FAILED, log=failed[0].log)
    return ExitCode.OK
