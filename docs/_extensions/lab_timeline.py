# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The directive ``timeline``: a stored run, drawn when the site is built, and its transitions by number.

.. code-block:: rst

   .. timeline:: one-smi

      One SMI under the dual-monitor treatment

The argument names a folder of ``docs/runs`` with logs of a run. Its picture cannot say anything else than they do.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from build_scripts.observation.events import read_stream
from build_scripts.pictures import svg

RUNS = Path(__file__).resolve().parents[1] / "runs"


class Timeline(SphinxDirective):
    """Draws the run that it names; its content is the caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The picture, the transitions in words, and the caption."""
        folder = RUNS / self.arguments[0]
        for path in sorted(folder.glob("*.log")):
            self.env.note_dependency(str(path))
        stream = read_stream(folder)
        caption = " ".join(self.content)
        try:
            picture = svg.timeline(stream.transitions, caption)
        except svg.TimelineError as bad:
            raise self.error(f"timeline {self.arguments[0]}: {bad}") from bad
        if stream.errors:
            raise self.error(f"timeline {self.arguments[0]}: {stream.errors[0]}")
        steps = "".join(f"<li>{html.escape(words)}</li>" for words in svg.steps(stream.transitions))
        text = (
            f'<figure class="timeline"><div class="timeline-scroll" tabindex="0">{picture}</div>'
            f"<ol>{steps}</ol><figcaption>{html.escape(caption)}</figcaption></figure>"
        )
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directive."""
    app.add_directive("timeline", Timeline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
