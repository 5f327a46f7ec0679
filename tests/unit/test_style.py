# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The house's tools find nothing: one command runs every check."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LINES_LIMIT = 500
OWN_PYTHON = ("build_scripts", "tests", "Platform/OvmfStmPkg", "docs")


@pytest.mark.parametrize("arguments", [["ruff", "check", "."], ["mypy"]], ids=lambda value: value[0])
def test_tool_finds_nothing(checkout: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", *arguments]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_python_files_are_short_and_licensed(checkout: Path) -> None:
    for folder in OWN_PYTHON:
        for path in (checkout / folder).rglob("*.py"):
            text = path.read_text()
            if not text:
                continue
            assert "SPDX-License-Identifier: BSD-2-Clause-Patent" in text, path
            assert text.count("\n") <= LINES_LIMIT, path
