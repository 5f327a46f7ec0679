# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A disk that is full or must not be written: one error with cause and remedy, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import cli, disk, paths
from build_scripts.builds import firmware_build
from build_scripts.commands import build
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step, run_logged
from build_scripts.sources import sources

FULL = Path("/dev/full")  # every write fails with ENOSPC
NOWHERE = Path("/proc")  # holds no file of ours, whoever we are


def _write_to_full_disk(_target: str) -> int:
    FULL.write_text("x")
    return ExitCode.OK


def test_full_disk_is_one_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever write meets it, the command ends with cause and remedy."""
    monkeypatch.setattr(build, "build", _write_to_full_disk)
    assert cli.main(["build"]) == ExitCode.BUILD_FAILED
    error = capsys.readouterr().err
    assert error.startswith("stmlab: No space left on device\nremedy: free some")


def test_full_log_is_one_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The log of a nested build is where a full disk usually shows."""

    def logged(_target: str) -> int:
        run_logged(["true"], FULL, Step("test", None), "a build")
        return ExitCode.OK

    monkeypatch.setattr(build, "build", logged)
    assert cli.main(["build"]) == ExitCode.BUILD_FAILED
    assert "No space left on device" in capsys.readouterr().err


def test_nested_build_on_a_full_disk_has_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A compiler that fails for want of space says so in its own words; the remedy is ours."""
    monkeypatch.setattr(disk, "full_places", lambda: [tmp_path])
    with pytest.raises(LabError) as caught:
        run_logged(["false"], tmp_path / "log", Step("test", None), "a build")
    assert caught.value.remedy.startswith(f"no space left in {tmp_path}: free some")


def test_full_places_are_those_without_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(disk, "_LITTLE", 0)
    assert disk.full_places() == []
    monkeypatch.setattr(disk, "_LITTLE", 2**63)
    assert tmp_path / "not" / "there" / "stmlab" in disk.full_places()


def test_error_that_is_ours_is_not_explained_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(_target: str) -> int:
        raise FileNotFoundError("a defect")

    monkeypatch.setattr(build, "build", defect)
    with pytest.raises(FileNotFoundError):
        cli.main(["build"])


def test_cache_that_cannot_be_made_is_named(checkout: Path, tmp_path: Path) -> None:
    """A cache in a place that cannot be written; read-only for everybody, root too."""
    variables = dict(os.environ, XDG_CACHE_HOME="/proc/self", XDG_STATE_HOME=str(tmp_path))
    result = subprocess.run(
        [sys.executable, "-m", "build_scripts", "build"],
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr and result.returncode != 0
    assert "/proc/self/stmlab" in result.stderr and "XDG_CACHE_HOME" in result.stderr


def test_read_only_checkout_with_a_build_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stuart builds in the checkout; that it cannot is said before it starts."""
    tree = sources.Tree(tmp_path, "1", "test", "test-1")
    monkeypatch.setattr(sources, "sound", lambda _name: tree)
    monkeypatch.setattr(paths, "CHECKOUT", NOWHERE)
    with pytest.raises(LabError, match="/proc cannot be written") as caught:
        firmware_build._build("DEBUG", tmp_path / "finished", tmp_path / "log")
    assert caught.value.code is ExitCode.USAGE and "clone or copy" in caught.value.remedy
    assert not (tmp_path / "log").exists(), "stuart was not started"


@pytest.mark.parametrize("arguments", [["conformance", "--suite", "vmx", "--json"], ["bench", "--quick", "--json"]])
def test_output_that_cannot_be_written_is_refused_at_once(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is built or run; no machine is even looked for."""
    monkeypatch.setenv("STMLAB_QEMU", "/nonexistent/qemu")
    for path in (tmp_path / "no" / "such.json", tmp_path, NOWHERE / "x.json"):
        assert cli.main([*arguments, str(path)]) == ExitCode.USAGE
        error = capsys.readouterr().err
        assert f"{path} cannot be written" in error and "remedy" in error and "qemu" not in error


def test_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe that nobody reads would wait for ever; closing one ends what its reader reads."""
    os.mkfifo(tmp_path / "pipe")
    need_writable("--json", tmp_path / "pipe")


def test_question_whether_a_file_can_be_written_leaves_no_trace(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("content")
    for path in (kept, tmp_path / "new"):
        need_writable("--json", path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept", "content")]
