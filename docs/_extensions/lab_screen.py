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
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from stored_run import StoredRun

from build_scripts.pictures import screen

COMMAND = "python3 -m build_scripts run"


def _part(argument: str) -> screen.Part:
    return screen.Part(directives.choice(argument, tuple(screen.Part)))


class Screen(StoredRun):
    """Shows a part of the screen of the run that it names."""

    option_spec = {"part": _part, "first": directives.unchanged, "last": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """The picture and the caption."""
        stream = self.stream()
        part = self.options.get("part", screen.Part.STORY)
        limits = {name: self.options.get(name, "") for name in ("first", "last")}
        try:
            picture = screen.screen(stream, part, COMMAND, **limits)
        except screen.ScreenError as bad:
            raise self.wrong(bad) from bad
        return self.figure(picture, f"<figcaption>{html.escape(' '.join(self.content))}</figcaption>")


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directive."""
    app.add_directive("screen", Screen)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
