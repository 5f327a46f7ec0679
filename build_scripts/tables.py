# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The tables of the lab: readable on a terminal of 80 columns, no word cut."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table


def compact_table(title: str, *, words: Iterable[str], numbers: Iterable[str]) -> Table:
    """A table with narrow edges. Texts wrap between words if they must; numbers and their headings never do.

    Args:
        words: headings of the columns of text.
        numbers: headings of the columns of numbers; they break where they say so.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    for heading in words:
        table.add_column(heading)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
