# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each pitfall that the doctor knows, made on purpose, is found with a remedy."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

from build_scripts import system
from build_scripts.commands import doctor
from build_scripts.errors import ExitCode
from build_scripts.sources import sources


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout and an environment in which every check passes."""
    for name in ("EDK2_DIR", "QEMU_SRC", "WORKSPACE", "EDK_TOOLS_PATH", "PACKAGES_PATH", "CONF_PATH", "PYTHONHASHSEED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(system, "missing", lambda *_needs: [])
    checkout = tmp_path / "checkout"
    (checkout / "Platform/OvmfStmPkg").mkdir(parents=True)
    (checkout / "Platform/OvmfStmPkg/PlatformBuild.py").write_text('SCOPES = ("stm",)\n')
    commands = (
        ["init", "--quiet"],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", "-m", "start"],
    )
    for command in commands:
        subprocess.run(["git", "-C", str(checkout), *command], check=True)
    return checkout


def findings(checkout: Path) -> dict[str, doctor.Finding]:
    return {found.name: found for check in doctor.checks(checkout) if (found := check()).problem}


def test_healthy(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(healthy) == {}
    assert doctor.doctor(healthy) == ExitCode.OK
    assert "WRONG" not in capsys.readouterr().out


def test_remedy_is_printed(healthy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "missing", lambda *_needs: [system.NEEDS[0]])
    assert doctor.doctor(healthy) == ExitCode.EXPECTATION_FAILED
    assert f"remedy: as root: apt-get install {system.NEEDS[0].package}" in capsys.readouterr().out


def test_edk2_as_a_link(healthy: Path) -> None:
    (healthy / "edk2").symlink_to(healthy)
    assert "EDK2_DIR" in findings(healthy)["edk2 in the workspace"].remedy


def test_no_commit(healthy: Path, tmp_path: Path) -> None:
    unborn = tmp_path / "unborn"
    (unborn / "Platform/OvmfStmPkg").mkdir(parents=True)
    (unborn / "Platform/OvmfStmPkg/PlatformBuild.py").touch()
    subprocess.run(["git", "-C", str(unborn), "init", "--quiet"], check=True)
    assert set(findings(unborn)) == {"git history"}


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("chromium", "tests/tutorial/test_report_page.py and tests/tutorial/test_site.py fail"),
        ("swtpm", "it is the TPM of 'run measured'; tests/boot/test_measured.py"),
        ("perl", "tests/unit/test_series.py fail"),
    ],
)
def test_packages_of_tests_stand_in_the_way_of_nothing_else(
    healthy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str, said: str
) -> None:
    """A note with its remedy, under the package's own name, and no failure of the command."""
    lacking = [need for need in system.TEST_NEEDS if need.package == package]
    monkeypatch.setattr(system, "missing", lambda *needs: [need for need in lacking if needs and need in needs[0]])
    found = findings(healthy)
    assert set(found) == {package} and said in found[package].problem and "all else works" in found[package].problem
    assert found[package].remedy.endswith(f"apt-get install --no-install-recommends {package}")
    assert doctor.doctor(healthy) == ExitCode.OK
    shown = capsys.readouterr().out
    assert f"note  {package}: " in shown and "WRONG" not in shown


@pytest.mark.parametrize("package", ["plotly", "perfetto", "playwright"])
def test_missing_plots(healthy: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else True)
    assert package in findings(healthy)["Python packages"].problem


def test_missing_regex(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "regex" else True)
    assert "regex" in findings(healthy)["Python packages"].problem


def test_nuget_scopes(healthy: Path) -> None:
    (healthy / "Platform/OvmfStmPkg/PlatformBuild.py").write_text('SCOPES = ("stm", "edk2-build")\n')
    assert "edk2-build" in findings(healthy)["stuart scopes"].problem


def test_shadowed_package(healthy: Path) -> None:
    (healthy / "MdePkg").mkdir()
    assert "MdePkg" in findings(healthy)["package names"].problem


def test_wrong_source(healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDK2_DIR", str(tmp_path))
    assert sources.PINS["edk2"]["version"] in findings(healthy)["own sources"].problem


def test_sourced_edksetup(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    assert "PYTHONHASHSEED" in findings(healthy)["edk2 environment"].problem
    monkeypatch.setenv("WORKSPACE", "/x")
    assert "WORKSPACE" in findings(healthy)["edk2 environment"].problem
