# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The timeline of a run: a lane for each processor, a colour for each mode."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from build_scripts.observation.events import Mode
from build_scripts.pictures.spans import Span

# In the legend's order. The colours differ for readers who do not tell red from green, on white and on black.
MODES = {
    Mode.NONE: ("outside VMX operation", "#8a8f98"),
    Mode.GUEST: ("guest", "#2f9ed8"),
    Mode.ROOT: ("executive monitor (VMX root)", "#7a5cd6"),
    Mode.STM: ("STM", "#e08a00"),
    Mode.HANDLER: ("SMM guest (handler under the STM)", "#c4377e"),
    Mode.SMM: ("SMM (default treatment)", "#1f9e77"),
}
LANE_HEIGHT = 70
_SURROUNDINGS = 110


def figure(spans: Sequence[Span], shown: tuple[int, int] | None) -> go.Figure:
    """The picture; each bar carries the index of the transition that began it.

    Args:
        spans: of the run, at least one.
        shown: the stretch of the time-stamp counter to show first, or None for all.
    """
    made = go.Figure()
    for mode, (name, colour) in MODES.items():
        mine = [span for span in spans if span.mode is mode]
        if mine:
            made.add_bar(
                name=name,
                orientation="h",
                y=[f"CPU {span.cpu}" for span in mine],
                base=[span.begin for span in mine],
                x=[span.end - span.begin for span in mine],
                customdata=[span.into for span in mine],
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate=f"{name}<br>%{{y}}, from %{{base:,}} to %{{x:,}}<extra></extra>",
            )
    lanes = sorted({span.cpu for span in spans})
    made.update_layout(
        barmode="overlay",
        height=_SURROUNDINGS + LANE_HEIGHT * len(lanes),
        margin={"l": 60, "r": 10, "t": 40, "b": 50},
        showlegend=False,  # the page has one, which wraps at any width
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode="pan",
    )
    made.update_xaxes(
        title="time-stamp counter", tickformat=",", nticks=4, tickangle=0, range=list(shown) if shown else None
    )
    made.update_yaxes(categoryorder="array", categoryarray=[f"CPU {cpu}" for cpu in reversed(lanes)], fixedrange=True)
    return made
