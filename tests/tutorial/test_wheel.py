# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The lab installed as a wheel: what needs no checkout works from anywhere, the rest says one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts.errors import ExitCode
from build_scripts.stm_image import convert
from tests.host.test_convert import GOOD


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what ``pip install .`` installs; built in a copy, since setuptools writes beside the sources."""
    base = tmp_path_factory.mktemp("wheel")
    source, target = base / "source", base / "site"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (checkout / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / name, source / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    pip += ["--disable-pip-version-check", "--target", str(target), str(source)]
    result = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    shutil.rmtree(source)
    return target


def _command(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = dict(os.environ, PYTHONPATH=str(installed), XDG_CACHE_HOME=str(folder / "cache"))
    command = [sys.executable, "-m", "build_scripts", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def test_wheel_carries_every_file_of_the_package(checkout: Path, installed: Path) -> None:
    """Modules, schemas, pins, and the programs of the Linux guest."""
    listed = subprocess.run(
        ["git", "ls-files", "build_scripts"], cwd=checkout, capture_output=True, text=True, check=True
    )
    missing = [name for name in listed.stdout.split() if not (installed / name).is_file()]
    assert listed and missing == []


@pytest.mark.parametrize(
    "arguments", [["run"], ["build"], ["test"], ["bench"], ["linux"], ["conformance", "--suite", "vmx"]]
)
def test_what_needs_the_checkout_says_so(installed: Path, tmp_path: Path, arguments: list[str]) -> None:
    """One sentence and its remedy; nothing is installed, fetched or built first."""
    result = _command(installed, tmp_path, *arguments)
    assert result.returncode == ExitCode.USAGE
    assert result.stdout == ""
    error, remedy = result.stderr.splitlines()
    assert error == "stmlab: this is the lab's Python package alone; what it builds and boots is in its repository"
    assert remedy.startswith("remedy: clone the repository")
    assert list(tmp_path.iterdir()) == []


def test_inspect_works_anywhere(installed: Path, tmp_path: Path) -> None:
    """An image is explained without a checkout."""
    (tmp_path / "Stm.mseg").write_bytes(convert(GOOD.bytes()).data)
    result = _command(installed, tmp_path, "inspect", "Stm.mseg")
    assert (result.returncode, result.stderr) == (0, "")
    assert "no problem found" in result.stdout


def test_doctor_names_it(installed: Path, tmp_path: Path) -> None:
    """A finding with its remedy, no traceback."""
    result = _command(installed, tmp_path, "doctor")
    assert result.returncode == ExitCode.EXPECTATION_FAILED
    assert "WRONG checkout: this is the lab's Python package alone" in result.stdout
    assert result.stderr == ""


def test_help_works_anywhere(installed: Path, tmp_path: Path) -> None:
    for arguments in (["--help"], ["--version"], ["run", "--help"]):
        result = _command(installed, tmp_path, *arguments)
        assert (result.returncode, result.stderr) == (0, ""), arguments
