# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The tables of the lab: readable on a terminal of 80 columns, no word cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich import box
from rich.table import Table


def compact_table(title: str, *, words: Iterable[str], numbers: Iterable[str]) -> Table:
    """A table with narrow edges. Texts wrap between words if they must, and in a word that is longer than its column;
    numbers and their headings never do. Nothing is cut off.

    Args:
        words: headings of the columns of text.
        numbers: headings of the columns of numbers; they break where they say so.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def hyphenated(name: str, width: int) -> str:
    """A name in lines of at most so many characters, broken behind its hyphens."""
    return "\n".join(textwrap.wrap(name, width, break_long_words=False))
