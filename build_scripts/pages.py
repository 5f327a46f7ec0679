# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Generated pages of the documentation, from the templates in ``templates/``."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from build_scripts import paths


def escaped(text: str) -> str:
    """Plain text for a cell: a backslash or an asterisk would be markup."""
    return text.replace("\\", "\\\\").replace("*", "\\*")


def render(template: str, **facts: Any) -> str:
    """The text of a page, with one line break at its end.

    Args:
        template: name of a file in ``templates/``.
        facts: all that it names; a name without a fact is an error.
    """
    # reStructuredText, not HTML: nothing is to be escaped as such.
    environment = Environment(
        loader=FileSystemLoader(paths.TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    return environment.get_template(template).render(facts).rstrip() + "\n"
