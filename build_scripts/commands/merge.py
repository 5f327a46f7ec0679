# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``conformance merge``: results of shares become the result of the whole."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema

from build_scripts.commands import conformance
from build_scripts.commands.output import need_writable
from build_scripts.conformance import parts, shards
from build_scripts.errors import ExitCode, LabError
from build_scripts.model import campaign
from build_scripts.progress import say


def _read(path: Path) -> dict[str, Any]:
    """A share's result.

    Raises:
        LabError: it cannot be read, or is none.
    """
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = campaign.SCHEMA if facts.get("suite") == "model" else parts.SCHEMA
        jsonschema.validate(facts, json.loads(schema.read_text(encoding="utf-8")))
        shards.parse(facts["shard"])
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}", ExitCode.USAGE) from error
    except (ValueError, AttributeError, jsonschema.ValidationError) as error:
        raise LabError(
            f"{path} is no result of a share",
            ExitCode.USAGE,
            remedy="merge what 'conformance --shard I/N --json FILE' or 'model --shard I/N --json FILE' has written",
        ) from error
    return facts


def _same(results: list[dict[str, Any]], *names: str) -> None:
    """Check that the shares are of one run.

    Raises:
        LabError: they are not, or one is missing or there twice.
    """
    for name in names:
        found = sorted({str(facts[name]) for facts in results})
        if len(found) > 1:
            raise LabError(f"the files differ in their {name}: {found[0]} and {found[1]}", ExitCode.USAGE)
    if wrong := shards.missing_or_twice(shards.parse(facts["shard"]) for facts in results):
        raise LabError(wrong, ExitCode.USAGE, remedy="name the file of every share once")


def _merged_model(results: list[dict[str, Any]], json_file: Path | None) -> int:
    _same(results, "machine", "processors", "first_seed", "asked")
    reached: Counter[str] = Counter()
    for facts in results:
        reached.update(facts["reached"])
    whole = {
        **results[0],
        "shard": str(shards.WHOLE),
        "sequences": sum(facts["sequences"] for facts in results),
        "operations": sum(facts["operations"] for facts in results),
        "reached": dict(sorted(reached.items())),
        "differences": sorted((one for facts in results for one in facts["differences"]), key=lambda one: one["seed"]),
    }
    if json_file is not None:
        json_file.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    say(f"{whole['sequences']:,} sequences, {len(whole['differences'])} differences")
    return ExitCode.EXPECTATION_FAILED if whole["differences"] else ExitCode.OK


def refuse(options: dict[str, object]) -> None:
    """Refuse options of a run, which would be without effect.

    Args:
        options: by name; None is one that was not given.
    Raises:
        LabError: one was.
    """
    for name, value in options.items():
        if value is not None:
            raise LabError(
                f"conformance merge takes no {name}",
                ExitCode.USAGE,
                remedy="name files and --json: the files say which suite and which shares they are of",
            )


def merge(files: list[Path], json_file: Path | None) -> int:
    """Put the results of all shares of a run together, and report as the whole run does.

    Raises:
        LabError: a file is no result, a share is missing or there twice, or the shares are of different runs.
    """
    if not files:
        raise LabError("nothing to merge", ExitCode.USAGE, remedy="name the file of every share")
    need_writable("--json", json_file)
    results = [_read(path) for path in files]
    _same(results, "suite")
    if results[0]["suite"] == "model":
        return _merged_model(results, json_file)
    _same(results, "machine")
    return conformance.report(results[0]["suite"], results[0]["machine"], parts.together(results), json_file, None)
