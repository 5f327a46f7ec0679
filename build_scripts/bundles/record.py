# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an imported bundle has brought into a cache: with which compiler and from which sources it was built.

Standard library only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from build_scripts import paths

RECORD = "bundle.json"
# What the header of a bundle tells of each source.
SOURCE_FACTS = ("pin", "version", "origin", "identity", "content")


def _read(path: Path) -> dict[str, Any] | None:
    """A record; None if there is none, or none that can be read, and then there is no bundle either."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found["compiler"], str):
            return None
        sources = {name: {fact: str(facts[fact]) for fact in SOURCE_FACTS} for name, facts in found["sources"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {"compiler": found["compiler"], "sources": sources}


def all_records() -> list[dict[str, Any]]:
    """Of each cache that a bundle was imported into: ``compiler``, and ``sources`` by name."""
    return [record for base in paths.caches() if (record := _read(base / RECORD)) is not None]


def compilers() -> list[str]:
    """The versions of the compilers that made what bundles brought."""
    return [record["compiler"] for record in all_records()]


def source(name: str) -> dict[str, str] | None:
    """The facts of a source that something in a bundle was built from."""
    return next((record["sources"][name] for record in all_records() if name in record["sources"]), None)


def write(compiler: str, sources: dict[str, dict[str, str]]) -> None:
    """Note in the user's own cache what a bundle has brought, in place of an earlier one."""
    target = paths.cache_dir() / RECORD
    staging = target.with_name(f".{RECORD}.{os.getpid()}")
    staging.write_text(json.dumps({"compiler": compiler, "sources": sources}, indent=1), encoding="utf-8")
    staging.replace(target)
