# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The compilation database of a real build: it names our files, and its commands compile them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import paths

from .conftest import BUILD_TIMEOUT_SECONDS

FOLDERS = ("StmPkg/Stm", "StmPkg/ExecutiveMonitor/Resident", "StmPkg/Firmware/StmLoader", "Platform/QemuVmx/vmx")


@pytest.mark.slow
def test_editor_can_compile_every_folder(tmp_path: Path) -> None:
    output = tmp_path / "compile_commands.json"
    command = [sys.executable, "-m", "build_scripts", "compile-commands", "--output", str(output)]
    subprocess.run(command, cwd=paths.CHECKOUT, check=True, timeout=BUILD_TIMEOUT_SECONDS)
    entries = {entry["file"]: entry for entry in json.loads(output.read_text())}
    assert all(Path(file).is_relative_to(paths.CHECKOUT) for file in entries)
    for folder in FOLDERS:
        files = sorted(str(path) for path in (paths.CHECKOUT / folder).rglob("*.c"))
        assert files and set(files) <= entries.keys(), folder
        entry = entries[files[0]]
        check = [*shlex.split(entry["command"]), "-fsyntax-only"]
        result = subprocess.run(check, cwd=entry["directory"], capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{entry['file']}: {result.stderr}"
