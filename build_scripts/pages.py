# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Generated pages of the documentation, from the templates in ``templates/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError

BEGIN = ".. start of the generated part\n"
END = ".. end of the generated part\n"


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


def split(text: str) -> tuple[str, str, str]:
    """What is before, in and after the generated part, the two marking lines outside.

    Raises:
        ValueError: the marking lines are not there, or not once.
    """
    before, begin, rest = text.partition(BEGIN)
    inner, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError("the page does not hold one generated part")
    return before + begin, inner, end + after


def replace_generated(page: Path, generated: str) -> None:
    """Replace the generated part of a page that is otherwise written by hand.

    Raises:
        LabError: there is no such page, or it has no such part.
    """
    try:
        before, _, after = split(page.read_text(encoding="utf-8"))
        page.write_text(f"{before}\n{generated}\n{after}", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LabError(f"{page}: {error}", ExitCode.USAGE) from error
