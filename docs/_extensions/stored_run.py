# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the directives that draw a stored run have in common: its folder, its records, and the figure around it."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import DirectiveError
from sphinx.util.docutils import SphinxDirective

from build_scripts.observation.events import Stream, read_stream

RUNS = Path(__file__).resolve().parents[1] / "runs"


class StoredRun(SphinxDirective):
    """Takes the name of a folder of ``docs/runs`` with logs of a run; its content is the caption."""

    required_arguments = 1
    has_content = True

    def wrong(self, error: object) -> DirectiveError:
        """An error at the place of the directive."""
        found: DirectiveError = self.error(f"{self.name} {self.arguments[0]}: {error}")
        return found

    def stream(self) -> Stream:
        """The run's records. The page is built anew when a log changes."""
        folder = RUNS / self.arguments[0]
        for path in sorted(folder.glob("*.log")):
            self.env.note_dependency(str(path))
        stream = read_stream(folder)
        if stream.errors:
            raise self.wrong(stream.errors[0])
        return stream

    def figure(self, picture: str, rest: str) -> list[nodes.Node]:
        """The picture, which can be scrolled, and what stands below it."""
        text = (
            f'<figure class="{self.name}"><div class="{self.name}-scroll" tabindex="0">{picture}</div>{rest}</figure>'
        )
        return [nodes.raw("", text, format="html")]
