# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The memory map to scale: a bar for the machine's memory, one for TSEG in it, one for MSEG in that."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from build_scripts.pictures.places import RULES, VIEWERS, Place, Places

# Like those of the timeline: told apart without telling red from green.
COLOURS = {
    "guest": ("memory of the guest", "#2f9ed8"),
    "executive": ("executive monitor", "#7a5cd6"),
    "smram": ("SMRAM of the firmware", "#c4377e"),
    "read-only": ("MSEG, read-only", "#a9a04a"),
    "text": ("MSEG, the STM's code", "#e08a00"),
    "data": ("MSEG, the STM's data", "#b8622e"),
}
_BAR_HEIGHT = 95
_SURROUNDINGS = 70


def size_words(size: int) -> str:
    """A size as people write it: the largest unit that leaves a whole number."""
    for unit, words in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit:,} {words}"
    return f"{size:,} B"


def row_of(place: Place) -> dict[str, str]:
    """A place as a row of the table: address, size, and what each may do."""
    rule = RULES[place.rule]
    return {
        "what": place.name,
        "from": f"{place.base:#x}",
        "to": f"{place.end - 1:#x}",
        "size": size_words(place.size),
        **dict(zip(VIEWERS, rule.access, strict=True)),
        "why": rule.why,
    }


def figure(places: Places) -> go.Figure:
    """The picture; each bar's text says what each of the four may do there."""
    scales = [(title, rows) for title, rows in places.scales if rows]
    titles = [f"{title}, {size_words(rows[-1].end - rows[0].base)}" for title, rows in scales]
    made = make_subplots(rows=len(scales), cols=1, subplot_titles=titles, vertical_spacing=0.5 / len(scales))
    for number, (_title, rows) in enumerate(scales, 1):
        for place in rows:
            row = row_of(place)
            access = "<br>".join(f"{viewer}: {row[viewer]}" for viewer in VIEWERS)
            made.add_bar(
                row=number,
                col=1,
                orientation="h",
                y=[""],
                base=[place.base],
                x=[place.size],
                name=place.name,
                marker={"color": COLOURS[place.rule][1], "line": {"width": 0}},
                hovertemplate=f"{place.name}<br>{row['from']} to {row['to']}, {row['size']}<br>{access}<extra></extra>",
            )
        made.update_xaxes(
            row=number,
            col=1,
            range=[rows[0].base, rows[-1].end],
            tickmode="array",
            tickvals=[rows[0].base, rows[-1].end],
            ticktext=[f"{rows[0].base:#x}", f"{rows[-1].end:#x}"],
            showgrid=False,
        )
    made.update_layout(
        barmode="overlay",
        height=_SURROUNDINGS + _BAR_HEIGHT * len(scales),
        margin={"l": 30, "r": 40, "t": 40, "b": 30},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode="pan",
    )
    made.update_yaxes(fixedrange=True, showticklabels=False)
    return made
