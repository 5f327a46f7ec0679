# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The directive ``timeline``: a stored run, drawn when the site is built, and its transitions by number.

.. code-block:: rst

   .. timeline:: one-smi

      One SMI under the dual-monitor treatment

The argument names a folder of ``docs/runs`` with logs of a run. Its picture cannot say anything else than they do.
"""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from stored_run import StoredRun

from build_scripts.pictures import svg


class Timeline(StoredRun):
    """Draws the run that it names."""

    def run(self) -> list[nodes.Node]:
        """The picture, the transitions in words, and the caption."""
        stream = self.stream()
        caption = " ".join(self.content)
        try:
            picture = svg.timeline(stream.transitions, caption)
        except svg.TimelineError as bad:
            raise self.wrong(bad) from bad
        steps = "".join(f"<li>{html.escape(words)}</li>" for words in svg.steps(stream.transitions))
        return self.figure(picture, f"<ol>{steps}</ol><figcaption>{html.escape(caption)}</figcaption>")


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directive."""
    app.add_directive("timeline", Timeline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
