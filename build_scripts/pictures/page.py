# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One self-contained HTML page of a run: of each boot its story, the timeline, each SMI, the memory map."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from build_scripts import __version__, paths
from build_scripts.observation.events import Transition
from build_scripts.observation.names import EXIT_REASONS
from build_scripts.observation.report import Report, Smi
from build_scripts.observation.show import story, traced
from build_scripts.pictures import facts, memory
from build_scripts.pictures.boot import Boot
from build_scripts.pictures.decoded import fields_of
from build_scripts.pictures.places import VIEWERS, Places
from build_scripts.pictures.spans import spans_of
from build_scripts.pictures.timeline import MODES, figure

TEMPLATE = "report.html.j2"
# A browser draws so many bars without a delay that one notices; a boot of the lab has some 8,000.
MOST_TRANSITIONS = 20_000
# What each boot gets of them if there are many.
LEAST_TRANSITIONS = 500
# The picture begins with the demonstration, this part of it on either side.
_MARGIN = 0.05


def _script_safe(text: str) -> Markup:
    """JSON for a script element: no text of a guest can end the element."""
    return Markup(text.replace("<", "\\u003c"))


def _smi_row(index: int, cause: str, smi: Smi) -> dict[str, Any]:
    counts = smi.instructions
    extra = [f"{exit_.reason} ({EXIT_REASONS.get(exit_.reason, 'unknown')})" for exit_ in smi.extra_exits]
    return {
        "index": index,
        "cpu": smi.cpu,
        "cause": cause,
        "treatment": "dual-monitor" if smi.dual_monitor else "default",
        "transitions": smi.transitions,
        "extra": ", ".join(extra) or "none",
        "stm": counts.stm if counts else None,
        "handler": counts.handler if counts else None,
        "total": counts.total if counts else None,
        "steps": [fields_of(event) for event in smi.events],
    }


def _demonstration(report: Report) -> tuple[int, int] | None:
    """The stretch of time of the SMIs that SmiTool raised; None without any."""
    times = [event.t for _cause, smi in report.smis for event in smi.events]
    if not times:
        return None
    margin = max(1, int((max(times) - min(times)) * _MARGIN))
    return min(times) - margin, max(times) + margin


def _picked(transitions: list[Transition], shown: tuple[int, int] | None, most: int) -> tuple[list[Transition], int]:
    """What is drawn, and how many are left out: those before the demonstration's last ones go first."""
    if len(transitions) <= most:
        return transitions, 0
    begin = next((i for i, event in enumerate(transitions) if shown is None or event.t >= shown[0]), 0)
    begin = min(begin, len(transitions) - most)
    return transitions[begin : begin + most], len(transitions) - most


def _memory(places: Places | None) -> dict[str, Any] | None:
    if places is None:
        return None
    scales = [(title, [memory.row_of(place) for place in rows]) for title, rows in places.scales]
    used = {place.rule for _title, rows in places.scales for place in rows}
    return {
        "scales": scales,
        "state": [(name, f"{address:#x}") for name, address in places.state],
        "legend": [words for rule, words in memory.COLOURS.items() if rule in used],
    }


def _plot(made: go.Figure | None) -> str:
    return "null" if made is None else str(made.to_json())


def _section(boot: Boot, most: int) -> dict[str, Any]:
    """What the template shows of one boot, and the JSON of its pictures."""
    report, stream = boot.report, boot.stream
    shown = _demonstration(report)
    transitions, left_out = _picked(stream.transitions, shown, most)
    spans = spans_of(transitions)
    timeline = figure(spans, shown) if spans else None
    places = None if boot.places is None else memory.figure(boot.places)
    fields = json.dumps([fields_of(event) for event in transitions] if spans else [])
    return {
        "name": boot.name,
        "story": list(story(report, stream)),
        "traced": traced(report),
        "smis": [_smi_row(index, cause, smi) for index, (cause, smi) in enumerate(report.smis)],
        "refusals": [str(refusal) for refusal in stream.refusals],
        "unreadable": [str(error) for error in stream.errors],
        "left_out": left_out,
        "legend": [MODES[mode] for mode in MODES if any(span.mode is mode for span in spans)],
        "timeline": timeline is not None,
        "memory": _memory(boot.places),
        "tables": facts.tables(stream, boot.places),
        "json": _script_safe(f'{{"timeline": {_plot(timeline)}, "memory": {_plot(places)}, "transitions": {fields}}}'),
    }


def html(name: str, boots: Sequence[Boot]) -> str:
    """The page.

    Args:
        name: of the run directory that was asked for.
        boots: of the run, in order; at least one.
    """
    most = max(LEAST_TRANSITIONS, MOST_TRANSITIONS // len(boots)) if len(boots) > 1 else MOST_TRANSITIONS
    sections = [_section(boot, most) for boot in boots]
    environment = Environment(
        loader=FileSystemLoader(paths.TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    drawn = any(section["timeline"] or section["memory"] for section in sections)
    return environment.get_template(TEMPLATE).render(
        name=name,
        version=__version__,
        boots=sections,
        viewers=VIEWERS,
        plotly=Markup(get_plotlyjs()) if drawn else None,
    )
