# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sphinx configuration of the STM Lab site."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE.parent), str(_HERE / "_extensions")]

from build_scripts import __version__  # noqa: E402 - the checkout is on the path only now

project = "STM Lab"
author = "STM Lab contributors"
copyright = "2026, STM Lab contributors"
version = release = __version__

extensions = [
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "lab_timeline",
    "lab_screen",
    "lab_api",
]
master_doc = "index"
exclude_patterns = ["_build"]
nitpicky = True
# The types of Python itself and of packages have no page here, and none is fetched.
nitpick_ignore_regex = [(r"py:.*", r".*")]
suppress_warnings = ["ref.python"]
# A thousand functions in the contents of every page would be no help, and half of the build's time.
toc_object_entries = False
# What has no language is shown as it is; Sphinx would take it for Python.
highlight_language = "none"
html_theme = "furo"
html_title = f"STM Lab {version}"
html_static_path = ["_static"]
html_css_files = ["lab.css"]
html_last_updated_fmt = ""
# Commands are copied without their prompt and without what they print.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
