# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Cache, locks and publishing: what makes two processes at once safe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.errors import LabError

HOLD_LOCK = """
import sys, time
from build_scripts import paths
with paths.locked("thing"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_cache_is_xdg(tmp_path: Path) -> None:
    assert paths.cache_dir() == tmp_path / "cache" / "stmlab"
    assert paths.cache_dir().is_dir()


def test_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that mends it."""
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/self")
    with pytest.raises(LabError, match="/proc/self/stmlab cannot be made") as caught:
        paths.state_dir()
    assert "XDG_STATE_HOME" in caught.value.remedy


def test_relative_xdg_value_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.cache_dir() == tmp_path / ".cache" / "stmlab"


def test_published_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "result"
    with pytest.raises(RuntimeError), paths.published(target) as staging:
        (staging / "half").touch()
        raise RuntimeError
    assert list(tmp_path.glob("*result*")) == []
    with paths.published(target) as staging:
        (staging / "file").write_text("first")
    assert (target / "file").read_text() == "first"


def test_loser_of_a_race_keeps_the_winner(tmp_path: Path) -> None:
    target = tmp_path / "result"
    with paths.published(target) as slow:
        (slow / "file").write_text("slow")
        with paths.published(target) as fast:
            (fast / "file").write_text("fast")
    assert (target / "file").read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir() if "result" in path.name] == ["result"]


def test_second_process_waits_and_says_so(checkout: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK],
        cwd=checkout,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    messages: list[str] = []

    def waiting(message: str) -> None:
        messages.append(message)
        assert holder.stdin is not None
        holder.stdin.close()  # now it may go

    with paths.locked("thing", waiting):
        assert messages and "thing" in messages[0]
    assert holder.wait(10) == 0
    holder.stdout.close()


def test_content_key_sees_names_contents_and_extras(tmp_path: Path) -> None:
    one = tmp_path / "a"
    one.write_text("x")
    before = paths.content_key([one], ["v1"], tmp_path)
    assert paths.content_key([one], ["v1"], tmp_path) == before
    assert paths.content_key([one], ["v2"], tmp_path) != before
    one.write_text("y")
    assert paths.content_key([one], ["v1"], tmp_path) != before
    one.write_text("x")
    renamed = one.rename(tmp_path / "b")
    assert paths.content_key([renamed], ["v1"], tmp_path) != before


def test_run_directories_are_distinct() -> None:
    assert paths.new_run_dir("demo") != paths.new_run_dir("demo")


def test_last_used_results_stay(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "middle", "old"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    paths.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["middle", "new"]
