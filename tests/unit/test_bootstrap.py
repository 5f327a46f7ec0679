# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The way from a bare python3: standard library only, no questions, clear messages."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from build_scripts import bootstrap, cli, system
from build_scripts.errors import ExitCode, LabError

BARE_MODULES = ("__init__", "__main__", "bootstrap", "disk", "errors", "paths", "system")


@pytest.mark.parametrize("name", BARE_MODULES)
def test_bootstrap_imports_only_the_standard_library(checkout: Path, name: str) -> None:
    allowed = sys.stdlib_module_names | {"build_scripts"}
    tree = ast.parse((checkout / "build_scripts" / f"{name}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found = {(node.module or "").split(".")[0]}
        else:
            continue
        assert found <= allowed, f"{name}.py line {node.lineno}"


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


def test_browser_is_a_package_of_the_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(system, "ensure_packages", lambda needs: asked.append({need.package for need in needs}))
    monkeypatch.setattr(bootstrap, "_put_scripts_on_path", lambda: None)
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    for command in (["run"], ["report"], ["test", "-q"]):
        bootstrap.enter(command)
    assert [("nasm" in packages, "chromium" in packages) for packages in asked] == [
        (True, False),
        (True, False),
        (True, True),
    ]


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
