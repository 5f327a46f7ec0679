# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Screens over SSH: 80 columns, a terminal that can do nothing, no colour; nothing cut off and nothing too wide."""

from __future__ import annotations

import re

COLUMNS = 80
# What such a terminal's programs are told.
PLAIN = {"COLUMNS": str(COLUMNS), "NO_COLOR": "1", "TERM": "dumb"}
# A path is one word, and stays one that can be copied.
_PATH = re.compile(r"(?:[\w ,.-]+: )?\s*/\S+")


def complaints(text: str, cut: tuple[str, ...] = ()) -> list[str]:
    """Each line that such a terminal cannot show as it is, or that lacks something.

    Args:
        text: what was printed.
        cut: lines that end in dots and lack nothing.
    """
    found = []
    for line in text.splitlines():
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line):
            found.append(f"controls the terminal: {line!r}")
        elif len(line.rstrip()) > COLUMNS and not _PATH.fullmatch(line):
            found.append(f"{len(line.rstrip())} columns: {line}")
        elif ("\N{HORIZONTAL ELLIPSIS}" in line or re.search(r"[0-9a-zA-Z]\.\.\.", line)) and line not in cut:
            found.append(f"cut off: {line}")
    return found
