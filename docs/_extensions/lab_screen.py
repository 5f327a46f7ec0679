# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The directive ``screen``: what the terminal shows of a stored run, drawn when the site is built.

.. code-block:: rst

   .. screen:: first-light
      :part: story
      :first: shell: SmiTool.efi demo
      :last: SMI 0

      The first SMI of the demonstration

The argument names a folder of ``docs/runs`` with logs of a run. ``part`` is ``story`` or ``table``; of a story
``first`` and ``last`` are how the first and the last shown line begin. What is shown are the words that ``run`` prints.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from build_scripts.observation.events import read_stream
from build_scripts.pictures import screen

RUNS = Path(__file__).resolve().parents[1] / "runs"
COMMAND = "python3 -m build_scripts run"


def _part(argument: str) -> screen.Part:
    return screen.Part(directives.choice(argument, tuple(screen.Part)))


class Screen(SphinxDirective):
    """Shows a part of the screen of the run that it names; its content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"part": _part, "first": directives.unchanged, "last": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """The picture and the caption."""
        folder = RUNS / self.arguments[0]
        for path in sorted(folder.glob("*.log")):
            self.env.note_dependency(str(path))
        stream = read_stream(folder)
        if stream.errors:
            raise self.error(f"screen {self.arguments[0]}: {stream.errors[0]}")
        part = self.options.get("part", screen.Part.STORY)
        limits = {name: self.options.get(name, "") for name in ("first", "last")}
        try:
            picture = screen.screen(stream, part, COMMAND, **limits)
        except screen.ScreenError as bad:
            raise self.error(f"screen {self.arguments[0]}: {bad}") from bad
        caption = html.escape(" ".join(self.content))
        text = (
            f'<figure class="screen"><div class="screen-scroll" tabindex="0">{picture}</div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directive."""
    app.add_directive("screen", Screen)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
