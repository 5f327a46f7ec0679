# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the terminal shows of a stored run, as SVG for the documentation: the lab's own words and table, by rich.

The picture names no font and no place outside itself: rich's own template fetches one.
"""

from __future__ import annotations

import io
from enum import StrEnum
from html import escape

from rich.console import Console

from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.events import Stream
from build_scripts.observation.report import Report, build_report

COLUMNS = 80
# rich fills this in; its own braces are doubled.
_FORMAT = """\
<svg class="screen" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">\
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Part(StrEnum):
    """What of a run's screen is shown."""

    STORY = "story"
    TABLE = "table"


class ScreenError(ValueError):
    """What was recorded does not show what is asked for."""


def _story(report: Report, stream: Stream, first: str, last: str) -> list[str]:
    """The lines from one that begins with `first` to the next that begins with `last`; empty: all to that end."""
    lines = list(show.story(report, stream))
    begin = next((i for i, line in enumerate(lines) if line.startswith(first)), None)
    if begin is None:
        raise ScreenError(f"no line of the story begins with {first!r}")
    if not last:
        return lines[begin:]
    end = next((i for i, line in enumerate(lines[begin:], begin) if line.startswith(last)), None)
    if end is None:
        raise ScreenError(f"no line of the story behind {first!r} begins with {last!r}")
    return lines[begin : end + 1]


def _printed(stream: Stream, part: Part, first: str, last: str, out: Console) -> None:
    report = build_report(stream, Configuration.DUAL_MONITOR)
    if part is Part.TABLE:
        if not report.smis:
            raise ScreenError("SmiTool raised no SMI, so that there is no table")
        out.print(show.closing_table(report))
        return
    lines = _story(report, stream, first, last)
    if not lines:
        raise ScreenError("there is no story")
    for line in lines:
        show.tell(out, line)


def screen(stream: Stream, part: Part, title: str, *, first: str = "", last: str = "") -> str:
    """The picture.

    Args:
        stream: what the run recorded, on the lab's machine.
        part: what is shown of it.
        title: of the window, such as the command.
        first: of a story, how the first line begins; empty for the very first.
        last: how the last one begins; empty for the very last.

    Raises:
        ScreenError: it is not there.
    """
    # Whatever terminal builds the documentation, the picture is the same.
    out = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        highlight=False,
        force_terminal=True,
        color_system="truecolor",
        _environ={},
    )
    _printed(stream, part, first, last, out)
    return out.export_svg(title=title, code_format=_FORMAT.replace("TITLE", _braced(escape(title))))


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
