# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The directive ``lab-api``: the reference of the Python package, folded by area and module, from its docstrings.

The areas are the sub-packages, in the order that the page names them; a test
compares that with the package.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PACKAGE = "build_scripts"
# What a module says of itself begins the dropdown; its members follow in the order of the source.
_OPTIONS = (":members:", ":member-order: bysource")


def summary(module: str) -> str:
    """The first sentence of a module's docstring."""
    text = (importlib.import_module(module).__doc__ or "").strip()
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


def modules_of(area: str) -> list[str]:
    """The modules of a sub-package, or the module itself."""
    found = importlib.import_module(f"{PACKAGE}.{area}")
    if not hasattr(found, "__path__"):
        return [found.__name__]
    inner = pkgutil.iter_modules(found.__path__, f"{found.__name__}.")
    return [one.name for one in inner if not one.name.rpartition(".")[2].startswith("_")]


class LabApi(SphinxDirective):
    """A dropdown for each module of the area that the argument names."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, object]] = {}

    def run(self) -> list[nodes.Node]:
        """Write the dropdowns as reST, and have Sphinx read it."""
        lines: list[str] = []
        for module in modules_of(self.arguments[0]):
            lines += [f".. dropdown:: {module.removeprefix(PACKAGE + '.')}: {summary(module)}", ""]
            lines += [f"   .. automodule:: {module}", *(f"      {option}" for option in _OPTIONS), ""]
        inner = nodes.container()
        source = self.get_source_info()[0]
        self.state.nested_parse(StringList(lines, source), self.content_offset, inner)
        return list(inner.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("lab-api", LabApi)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
