# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The JSON document of a run: the members of every experiment, its own facts, and the schema of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from build_scripts import paths
from build_scripts.experiments.experiment import Expectation

SCHEMA_VERSION = 2
SCHEMA_FILE = paths.SCHEMAS / f"run-{SCHEMA_VERSION}.json"


def compose(
    experiment: str, processors: int, facts: dict[str, Any], expectations: list[Expectation], exit_status: int
) -> dict[str, Any]:
    """The document of one run."""
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment,
        "processors": processors,
        **facts,
        "expectations": [expectation.as_json() for expectation in expectations],
        "exit_status": exit_status,
    }


def validate(document: dict[str, Any]) -> None:
    """Check a document against the schema of its version.

    Raises:
        jsonschema.ValidationError: it does not fit.
    """
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)


def write(path: Path, document: dict[str, Any]) -> None:
    """Validate and write a document."""
    validate(document)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
