# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an export refuses, fetches and carries."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from build_scripts import cli, paths
from build_scripts.bundles import archive, record
from build_scripts.bundling import content, exchange
from build_scripts.errors import ExitCode
from build_scripts.sources import sources
from tests.support.bundles import elsewhere


@pytest.mark.parametrize(
    ("missing", "words"), [("machines", "the machine of this checkout"), ("firmware", "the firmware of this checkout")]
)
def test_nothing_built_yet(missing: str, words: str, teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(paths.cache_dir() / "finished" / missing)
    assert cli.main(["bundle", "export", str(teacher / "lab.bundle")]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert words in said and "build_scripts build" in said
    assert not (teacher / "lab.bundle").exists()


@pytest.mark.parametrize("name", ["edk2", "qemu"])
def test_an_export_fetches_nothing(
    name: str, teacher: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(sources, "_fetched", fetched.append)
    shutil.rmtree(next(paths.cache_dir().glob(f"{name}-*")))
    assert cli.main(["bundle", "export", str(teacher / "lab.bundle")]) == ExitCode.USAGE
    assert f"{name} has not been fetched yet" in capsys.readouterr().err
    assert fetched == [] and not (teacher / "lab.bundle").exists()


def test_a_changed_edk2_is_not_exported(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever imports it would have it stamped as what was fetched."""
    (sources.edk2_dir() / sources.BASETOOLS / "bin/GenFw").write_text("#!/bin/sh\nexit 1\n")
    assert cli.main(["bundle", "export", str(teacher / "lab.bundle")]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "edk2 in the cache was changed" in said and "delete it, then" in said
    assert not (teacher / "lab.bundle").exists()


def test_a_missing_edk2_is_not_exported(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the record of an import tells of it is enough for keys, and not for a bundle."""
    exchange.bring(bundle)
    shutil.rmtree(sources.edk2_dir())
    assert cli.main(["bundle", "export", str(bundle.parent / "second.bundle")]) == ExitCode.USAGE
    assert "edk2 is missing" in capsys.readouterr().err
    exchange.bring(bundle)
    assert exchange.export(bundle.parent / "second.bundle") > 10


def test_an_export_that_fails_leaves_the_old_file(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = teacher / "lab.bundle"
    target.write_text("old")

    def stopped(_writer: archive.Writer, _header: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(archive.Writer, "finish", stopped)
    assert cli.main(["bundle", "export", str(target)]) == ExitCode.BUILD_FAILED
    assert target.read_text() == "old" and [path.name for path in teacher.glob(".lab*")] == []


def test_the_checkout_goes_in_without_what_was_built_in_it(tmp_path: Path) -> None:
    """With and without git."""
    for name in ("README.md", "StmPkg/a.c", "Build/x.o", "old.bundle"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("Build/\n*.bundle\n")
    wanted = ["checkout/.gitignore", "checkout/README.md", "checkout/StmPkg/a.c"]
    assert [name for name, _path in content.checkout_files(tmp_path)] == wanted
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert [name for name, _path in content.checkout_files(tmp_path)] == wanted


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch, tmp_path)
    for text in ("", "[]", '{"compiler": 1, "sources": {}}', '{"compiler": "1", "sources": {"qemu": {}}}'):
        (paths.cache_dir() / record.RECORD).write_text(text)
        assert record.all_records() == []
