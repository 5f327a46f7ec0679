# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A second ``run`` with nothing changed compiles nothing and starts no stuart."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from build_scripts import paths

from .conftest import BUILD_TIMEOUT_SECONDS, Run, environment

TOOLS = ("gcc", "g++", "cc", "nasm", "make", "ninja", "ld", "iasl", "patch", "tar", "apt-get", "git")
# What the keys of finished results ask.
QUESTIONS = ("-dumpfullversion -dumpversion",)


def _shims(folder: Path, log: Path) -> None:
    """Put a program before each tool that notes its arguments and goes on to the tool."""
    folder.mkdir()
    for tool in TOOLS:
        real = shutil.which(tool)
        assert real is not None, tool
        shim = folder / tool
        shim.write_text(f'#!/bin/sh\necho "{tool} $*" >> "{log}"\nexec "{real}" "$@"\n')
        shim.chmod(0o755)


def test_second_run_compiles_nothing(stock_run: Run, stm_run: Run, tmp_path: Path) -> None:
    assert stock_run.status == 0 and stm_run.document, "both parts are built now"
    log = tmp_path / "tools.log"
    log.touch()
    _shims(tmp_path / "bin", log)
    variables = environment()
    variables["PATH"] = os.pathsep.join([str(tmp_path / "bin"), variables["PATH"]])
    result = subprocess.run(
        ["python3", "-m", "build_scripts", "build"],
        cwd=paths.CHECKOUT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    started = [line for line in log.read_text().splitlines() if not line.endswith(QUESTIONS)]
    assert started == []
    assert "building" not in result.stderr
