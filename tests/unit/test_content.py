# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The digest of a source tree sees every change, and reads only what may have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.sources.content import tree_digest


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "listed.c").write_text("listed\n")
    (root / "sub" / "unlisted.c").write_text("unlisted\n")
    (root / "link.c").symlink_to("listed.c")
    (root / "up").symlink_to("..")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "shared.c").write_text("shared\n")
    (root / "folder").symlink_to(outside)
    return root


def _edit_keeping_size_and_time(root: Path) -> None:
    path = root / "sub" / "unlisted.c"
    status = path.stat()
    path.write_text("UNLISTED\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _other_target(root: Path) -> None:
    (root / "link.c").unlink()
    (root / "link.c").symlink_to("sub/unlisted.c")


CHANGES: tuple[Callable[[Path], object], ...] = (
    _edit_keeping_size_and_time,
    lambda root: (root / "sub" / "new.c").write_text(""),
    lambda root: (root / "sub" / "unlisted.c").unlink(),
    lambda root: (root / "sub" / "unlisted.c").rename(root / "moved.c"),
    lambda root: (root / "listed.c").chmod(0o755),
    lambda root: (root / "folder" / "shared.c").write_text("other\n"),
    _other_target,
)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(tree: Path, change: Callable[[Path], object]) -> None:
    before = tree_digest(tree)
    assert tree_digest(tree) == before
    change(tree)
    after = tree_digest(tree)
    assert after != before
    assert tree_digest(tree) == after


def test_what_no_build_reads_does_not_count(tree: Path) -> None:
    before = tree_digest(tree, frozenset({"Build"}))
    for name in (".git", "sub/__pycache__", "Build"):
        (tree / name).mkdir()
        (tree / name / "file").write_text("x")
    # meson leaves it in the source whenever it configures; a copy that it made stale would be compiled anew each time.
    (tree / "sub" / ".wraplock").touch()
    assert tree_digest(tree, frozenset({"Build"})) == before
    assert tree_digest(tree) != before


def test_unchanged_files_are_not_read_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree_digest(tree)
    read: list[str] = []
    hashed = paths.sha256_file

    def noted(path: Path) -> str:
        read.append(path.name)
        return hashed(path)

    monkeypatch.setattr(paths, "sha256_file", noted)
    (tree / "listed.c").write_text("changed\n")
    assert tree_digest(tree) != before
    assert sorted(read) == ["link.c", "listed.c"]


def test_a_damaged_index_is_no_harm(tree: Path) -> None:
    before = tree_digest(tree)
    (index,) = (paths.cache_dir() / "indexes").iterdir()
    for text in (b"\xff", b"[]", b'{"listed.c": 3}', b'{"listed.c": [1]}'):
        index.write_bytes(text)
        assert tree_digest(tree) == before
