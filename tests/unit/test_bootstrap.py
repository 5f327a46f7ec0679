# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The way from a bare python3: standard library only, no questions, clear messages."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from build_scripts import bootstrap, cli, system
from build_scripts.errors import ExitCode, LabError

BARE_MODULES = ("__init__", "__main__", "bootstrap", "disk", "errors", "paths", "system")
BARE_PARTS = ("bundles",)


def _bare_files(checkout: Path) -> list[Path]:
    package = checkout / "build_scripts"
    return [package / f"{name}.py" for name in BARE_MODULES] + [
        path for part in BARE_PARTS for path in sorted((package / part).glob("*.py"))
    ]


@pytest.mark.parametrize("path", _bare_files(Path(__file__).resolve().parents[2]), ids=lambda path: path.stem)
def test_bootstrap_imports_only_the_standard_library(path: Path) -> None:
    allowed = sys.stdlib_module_names | {"build_scripts"}
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found = {(node.module or "").split(".")[0]}
        else:
            continue
        assert found <= allowed, f"{path.name} line {node.lineno}"


def test_missing_packages_without_root_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [need for need in system.NEEDS if need.package in ("nasm", "acpica-tools")]
    monkeypatch.setattr(system, "missing", lambda *_needs: needs)
    monkeypatch.setattr(system, "_debian", lambda: True)
    monkeypatch.setattr(system, "_privilege", lambda: None)
    with pytest.raises(LabError) as caught:
        system.ensure_packages()
    assert caught.value.code == ExitCode.MISSING_PACKAGES
    assert "nasm" in str(caught.value) and "acpica-tools" in str(caught.value)


def test_other_system_gets_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "missing", lambda *_needs: [system.NEEDS[0]])
    monkeypatch.setattr(system, "_debian", lambda: False)
    with pytest.raises(LabError) as caught:
        system.ensure_packages()
    assert caught.value.code == ExitCode.MISSING_PACKAGES
    assert system.NEEDS[0].why in str(caught.value)


def test_root_installs_without_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [[need for need in system.NEEDS if need.package == "nasm"], []]
    commands: list[list[str]] = []

    def apt(prefix: list[str], arguments: list[str]) -> int:
        commands.append([*prefix, *arguments])
        return 0

    monkeypatch.setattr(system, "missing", lambda *_needs: needs.pop(0))
    monkeypatch.setattr(system, "_debian", lambda: True)
    monkeypatch.setattr(system, "_privilege", lambda: [])
    monkeypatch.setattr(system, "_apt", apt)
    system.ensure_packages()
    assert commands == [["update"], ["install", "-y", "--no-install-recommends", "nasm"]]


def _bootstrapped(command: list[str], monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]) -> list[str]:
    """Enter for a command on a system without some packages, which cannot be installed; the names that were tried."""
    tried: list[str] = []

    def missing(needs: Sequence[system.Need] = system.NEEDS) -> list[system.Need]:
        tried.extend(need.package for need in needs)
        return [need for need in needs if need.package in lacking]

    monkeypatch.setattr(system, "missing", missing)
    monkeypatch.setattr(system, "_debian", lambda: True)
    monkeypatch.setattr(system, "_privilege", lambda: None)
    monkeypatch.setattr(bootstrap, "_put_scripts_on_path", lambda: None)
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    monkeypatch.delenv("STMLAB_ENTERED", raising=False)
    bootstrap.enter(command)
    return tried


TEST_PACKAGES = tuple(need.package for need in system.TEST_NEEDS)


def test_browser_is_a_package_of_the_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["run"], ["report"], ["test", "-q"]):
        tried = _bootstrapped(command, monkeypatch, lacking=())
        assert "nasm" in tried
        assert set(TEST_PACKAGES) & set(tried) == (set(TEST_PACKAGES) if command[0] == "test" else set()), command


@pytest.mark.parametrize("package", TEST_PACKAGES)
@pytest.mark.parametrize("arguments", [[], ["-m", "unit"]])
def test_tests_start_without_what_some_of_them_need(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, arguments: list[str]
) -> None:
    """The warning names what fails, why the package is not there, and what to do; `run` needs none of it."""
    _bootstrapped(["test", *arguments], monkeypatch, lacking=(package,))
    said = capsys.readouterr().err
    (need,) = [need for need in system.TEST_NEEDS if need.package == package]
    assert f"warning: {', '.join(need.tests)} will fail without {package}: missing packages: {package}\n" in said
    assert f"remedy: as root: apt-get install --no-install-recommends {package}\n" in said
    assert said.count("warning") == 1
    _bootstrapped(["run"], monkeypatch, lacking=(package,))
    assert capsys.readouterr().err == ""


def test_what_every_command_needs_is_needed_by_test(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="missing packages: nasm"):
        _bootstrapped(["test"], monkeypatch, lacking=("nasm", "chromium"))


def test_each_package_of_tests_is_installed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that apt-get does not find keeps no other away."""
    installed: list[str] = []

    def apt(_prefix: list[str], arguments: list[str]) -> int:
        if arguments == ["update"]:
            return 0
        if "chromium" in arguments:
            return 100
        installed.append(arguments[-1])
        return 0

    monkeypatch.setattr(system, "missing", lambda needs: [need for need in needs if need.package not in installed])
    monkeypatch.setattr(system, "_debian", lambda: True)
    monkeypatch.setattr(system, "_privilege", lambda: [])
    monkeypatch.setattr(system, "_apt", apt)
    (words,) = system.without()
    assert "without chromium: apt-get could not install: chromium" in words
    assert installed == [name for name in TEST_PACKAGES if name != "chromium"]


def test_packages_of_tests_name_tests(checkout: Path) -> None:
    for need in system.TEST_NEEDS:
        assert need.tests and all((checkout / path).is_file() for path in need.tests), need


def test_a_command_that_does_not_exist_is_no_python() -> None:
    assert not system.python_works("/nonexistent/python3")


def test_this_environment_has_every_package() -> None:
    assert bootstrap.environment_has_packages()


def test_lock_is_pinned_by_hash_and_names_no_host(checkout: Path) -> None:
    text = (checkout / "requirements.lock").read_text()
    assert "://" not in text
    joined = text.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines and all("==" in line and "--hash=sha256:" in line for line in lines)


def test_lock_covers_the_project(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (checkout / "requirements.lock").read_text(), re.MULTILINE))
    for requirement in project["dependencies"]:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert match is not None
        assert match[0].lower().replace(".", "-") in pinned


def test_ci_runs_the_documented_command(checkout: Path) -> None:
    script = checkout / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "python3 -m build_scripts test" in script.read_text()


def test_usage_error_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["no-such-command"])
    assert caught.value.code == ExitCode.USAGE
    assert "invalid choice: 'no-such-command'" in capsys.readouterr().err


def test_command_works_from_another_directory(checkout: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "build_scripts", "--help"],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(checkout)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "inspect" in result.stdout
