# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Finished results: made once, found again, checked by hash, made anew when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts import cache, paths
from build_scripts.errors import LabError


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Maker:
    """A result of two files, one of them a program; counts how often it is made."""

    def __init__(self) -> None:
        self.made = 0
        self.key = "one"

    def __call__(self, folder: Path) -> None:
        self.made += 1
        (folder / "sub").mkdir()
        (folder / "sub" / "image").write_bytes(b"image" * 100)
        (folder / "program").write_text("#!/bin/sh\n")
        (folder / "program").chmod(0o755)

    def obtain(self) -> Path:
        return cache.obtain("things", lambda: self.key, self, "the thing", "thing")


def _missing(entry: Path) -> None:
    (entry / "sub" / "image").unlink()


def _truncated(entry: Path) -> None:
    (entry / "sub" / "image").write_bytes(b"image")


def _zeroed(entry: Path) -> None:
    (entry / "sub" / "image").write_bytes(bytes(500))


def _not_executable(entry: Path) -> None:
    (entry / "program").chmod(0o644)


def _no_manifest(entry: Path) -> None:
    (entry / cache.MANIFEST).unlink()


def _corrupt_manifest(entry: Path) -> None:
    (entry / cache.MANIFEST).write_bytes(b"\0\xff")


def _foreign_manifest(entry: Path) -> None:
    (entry / cache.MANIFEST).write_text("[1]")


def test_made_once() -> None:
    maker = Maker()
    entry = maker.obtain()
    assert (entry / "sub" / "image").read_bytes() == b"image" * 100
    assert maker.obtain() == entry and maker.made == 1
    maker.key = "two"
    assert maker.obtain() != entry and maker.made == 2


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_missing, "sub/image is missing"),
        (_truncated, "sub/image has 5 bytes instead of 500"),
        (_zeroed, "sub/image was changed"),
        (_not_executable, "program is not executable"),
        (_no_manifest, "the manifest cannot be read"),
        (_corrupt_manifest, "the manifest cannot be read"),
        (_foreign_manifest, "the manifest cannot be read"),
    ],
)
def test_damaged_entry_is_made_anew(
    harm: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with an entry is found, told, and mended."""
    maker = Maker()
    entry = maker.obtain()
    harm(entry)
    assert words in cache.damage(entry)
    assert maker.obtain() == entry and maker.made == 2
    assert cache.damage(entry) == ""
    assert words in capsys.readouterr().err
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_nothing_is_published_if_an_input_changes_meanwhile() -> None:
    maker = Maker()
    keys = iter(["one", "one", "one", "two"])
    with pytest.raises(LabError, match="changed during its build"):
        cache.obtain("things", lambda: next(keys), maker, "the thing", "thing")
    assert maker.made == 1
    assert list(cache.entry("things", "one").parent.iterdir()) == []


def test_what_another_process_made_while_this_one_waited_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    maker, other = Maker(), Maker()
    locked = paths.locked

    def after_the_other(*arguments: object) -> object:
        monkeypatch.setattr(paths, "locked", locked)
        other.obtain()
        return locked("thing")

    monkeypatch.setattr(paths, "locked", after_the_other)
    entry = maker.obtain()
    assert (maker.made, other.made) == (0, 1) and cache.damage(entry) == ""


def test_the_last_used_stay() -> None:
    maker = Maker()
    for key in ("one", "two", "three"):
        maker.key = key
        cache.obtain("things", lambda: maker.key, maker, "the thing", keep=2)
    assert len(list(cache.entry("things", "one").parent.iterdir())) == 2
