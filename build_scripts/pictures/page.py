# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One self-contained HTML page of a run: its story, the timeline, each SMI, what became of the checks."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from build_scripts import __version__, paths
from build_scripts.observation.events import Stream, Transition
from build_scripts.observation.names import EXIT_REASONS
from build_scripts.observation.report import Report, Smi
from build_scripts.observation.show import story, traced
from build_scripts.pictures.decoded import fields_of
from build_scripts.pictures.spans import spans_of
from build_scripts.pictures.timeline import MODES, figure

TEMPLATE = "report.html.j2"
# A browser draws so many bars without a delay that one notices; a run of the lab has some 8,000.
MOST_TRANSITIONS = 20_000
# The picture begins with the demonstration, this part of it on either side.
_MARGIN = 0.05


def _script_safe(value: Any) -> Markup:
    """JSON for a script element: no text of a guest can end the element."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))


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


def _picked(transitions: list[Transition], shown: tuple[int, int] | None) -> tuple[list[Transition], int]:
    """What is drawn, and how many are left out: those before the demonstration's last ones go first."""
    if len(transitions) <= MOST_TRANSITIONS:
        return transitions, 0
    begin = next((i for i, event in enumerate(transitions) if shown is None or event.t >= shown[0]), 0)
    begin = min(begin, len(transitions) - MOST_TRANSITIONS)
    return transitions[begin : begin + MOST_TRANSITIONS], len(transitions) - MOST_TRANSITIONS


def html(name: str, report: Report, stream: Stream) -> str:
    """The page.

    Args:
        name: of the run directory.
        report: of `stream`.
        stream: what the run recorded.
    """
    shown = _demonstration(report)
    transitions, left_out = _picked(stream.transitions, shown)
    spans = spans_of(transitions)
    environment = Environment(
        loader=FileSystemLoader(paths.TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    return environment.get_template(TEMPLATE).render(
        name=name,
        version=__version__,
        story=list(story(report, stream)),
        traced=traced(report),
        smis=[_smi_row(index, cause, smi) for index, (cause, smi) in enumerate(report.smis)],
        refusals=[str(refusal) for refusal in stream.refusals],
        unreadable=[str(error) for error in stream.errors],
        left_out=left_out,
        legend=[MODES[mode] for mode in MODES if any(span.mode is mode for span in spans)],
        figure=Markup(figure(spans, shown).to_json().replace("<", "\\u003c")) if spans else None,
        transitions=_script_safe([fields_of(event) for event in transitions]) if spans else None,
        plotly=Markup(get_plotlyjs()) if spans else None,
    )
