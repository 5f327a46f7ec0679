# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a share of a suite's images said, as a file, and the evidence of all shares together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import jsonschema

from build_scripts import paths
from build_scripts.conformance.engine import Evidence
from build_scripts.conformance.shards import Shard

SCHEMA = paths.SCHEMAS / "conformance-part-1.json"


def as_json(suite: str, machine: str, shard: Shard, evidence: Evidence) -> dict[str, Any]:
    """The facts of a share, checked against the schema."""
    facts: dict[str, Any] = {
        "schema_version": 1,
        "suite": suite,
        "machine": machine,
        "shard": str(shard),
        "passed": dict(sorted(evidence.passed.items())),
        "failed": dict(sorted(evidence.failed.items())),
        "skipped": sorted(evidence.skipped),
        "problems": evidence.problems,
        "msrs": {f"{index:#x}": f"{value:#x}" for index, value in sorted(evidence.msrs.items())},
    }
    jsonschema.validate(facts, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return facts


def together(parts: Iterable[dict[str, Any]]) -> Evidence:
    """The evidence of all shares, as one run has it but for the order of failures and problems."""
    whole = Evidence()
    for part in parts:
        whole.passed += Counter(part["passed"])
        for rule, failures in part["failed"].items():
            whole.failed.setdefault(rule, []).extend(failures)
        whole.skipped |= set(part["skipped"])
        whole.problems += part["problems"]
        for index, value in part["msrs"].items():
            whole.msrs.setdefault(int(index, 16), int(value, 16))
    return whole
