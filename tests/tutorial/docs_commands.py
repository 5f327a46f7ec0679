# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Finds the shell commands that the documentation shows.

A command is a line that begins with ``$`` in an RST ``code-block:: console`` or
in a Markdown ``console`` fence. The commands of one page belong together: a
later one may use what an earlier one made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_RST_BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:[ ]+.*\n|\n)+)", re.MULTILINE)
_MARKDOWN_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\s*\$ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page of documentation and the commands it shows, in order."""

    path: Path
    commands: tuple[str, ...]


def commands_of(path: Path) -> tuple[str, ...]:
    """Return the commands that the page at `path` (.rst or .md) shows."""
    pattern = _MARKDOWN_BLOCK if path.suffix == ".md" else _RST_BLOCK
    blocks = pattern.findall(path.read_text(encoding="utf-8"))
    return tuple(command for block in blocks for command in _COMMAND.findall(block))


def pages_with_commands(root: Path) -> list[Page]:
    """Return README.md and every page below docs/ that shows a command, with its path from `root`."""
    paths = [root / "README.md", *sorted((root / "docs").rglob("*.rst"))]
    pages = [Page(path.relative_to(root), commands_of(path)) for path in paths]
    return [page for page in pages if page.commands]
