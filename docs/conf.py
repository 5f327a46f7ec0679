# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sphinx configuration of the STM Lab site."""

project = "STM Lab"
author = "STM Lab contributors"
copyright = "2026, STM Lab contributors"

master_doc = "index"
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "alabaster"
html_theme_options = {
    "description": "An SMI Transfer Monitor that anyone can run",
    "fixed_sidebar": True,
}
