# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The house's tools find nothing: one command runs every check."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LINES_LIMIT = 500
BSD = "BSD-2-Clause-Patent"
GPL = "GPL-2.0-or-later"
TOOLS = {
    "ruff": ["-m", "ruff", "check", "."],
    "format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
}
# What cannot hold a comment, is generated, or goes to QEMU as it is.
UNLICENSED_SUFFIXES = (".json", ".lock", ".log", ".patch")
LICENSE_TEXTS = "LICENSES"
OWN_PYTHON = ("build_scripts", "tests", "Platform/OvmfStmPkg", "docs", ".pytool")


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_finds_nothing(tool: str, checkout: Path) -> None:
    result = subprocess.run([sys.executable, *TOOLS[tool]], cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_file_has_its_licence(checkout: Path, tmp_path: Path) -> None:
    """By reuse, on a copy: in the checkout it trips over bytecode that other tests write meanwhile."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=checkout, capture_output=True, text=True, check=True).stdout.split("\0")
    copied = 0
    for name in filter(None, names):
        if (checkout / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / name, tmp_path / name)
            copied += 1
    assert copied > len(OWN_PYTHON)
    # The module that reuse takes by default needs a library of the system; this one is Python.
    environment = dict(os.environ, REUSE_ENCODING_MODULE="charset_normalizer")
    command = [sys.executable, "-m", "reuse", "--root", str(tmp_path), "lint"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_are_checked_everywhere(checkout: Path) -> None:
    """mypy is strict, sees every Python file of the repository, and no file is exempt."""
    settings = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"] is True
    for section in (settings, *settings["overrides"]):
        assert not section.keys() & {"ignore_errors", "exclude", "follow_imports"}
    listed = subprocess.run(["git", "ls-files", "-z", "*.py"], cwd=checkout, capture_output=True, text=True, check=True)
    files = [Path(name) for name in listed.stdout.split("\0") if name]
    assert files and [path for path in files if path.parts[0] not in settings["files"]] == []


def test_python_files_are_short(checkout: Path) -> None:
    for folder in OWN_PYTHON:
        files = list((checkout / folder).rglob("*.py"))
        assert files, folder
        for path in files:
            assert path.read_text().count("\n") <= LINES_LIMIT, path


def test_files_are_licensed(checkout: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True)
    files = [checkout / name for name in listed.stdout.split("\0") if name]
    assert files
    bare = []
    for path in files:
        if path.suffix in UNLICENSED_SUFFIXES or path.name == ".gitignore" or not path.is_file():
            continue
        if path.parent.name == LICENSE_TEXTS:
            continue
        text = path.read_bytes()
        license_name = GPL if path.is_relative_to(checkout / "Platform/QemuVmx") else BSD
        if path.is_relative_to(checkout / "StmPkg/LinuxMle"):
            license_name = f"{GPL} OR {BSD}"  # as both Linux and this package want it
        # REUSE-IgnoreStart
        if text and f"SPDX-License-Identifier: {license_name}".encode() not in text:
            # REUSE-IgnoreEnd
            bare.append(str(path))
    assert bare == []
