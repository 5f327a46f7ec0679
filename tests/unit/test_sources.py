# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which sources are accepted, and where they are looked for."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from build_scripts import paths
from build_scripts.builds import firmware_build, qemu_build, qemu_unpatched
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step
from build_scripts.sources import sources
from build_scripts.sources.distribution import SourceFile, mirror_addresses, parse_source_index

INDEX = f"""Package: qemu
Version: 1:10.0.13+ds-0+u1
Files:
 00 1 qemu_10.0.13+ds.orig.tar.xz
Checksums-Sha256:
 {"1" * 64} 2656 qemu_10.0.13+ds-0+u1.dsc
 {"2" * 64} 40010016 qemu_10.0.13+ds.orig.tar.xz
Homepage: http://example.org

Package: qemu
Version: 1:10.0.2+ds-2
Checksums-Sha256:
 {"3" * 64} 39449628 qemu_10.0.2+ds.orig.tar.xz

Package: odd
Version: 1
"""
TARGETS = """http://updates.example/debian/ bookworm-updates
http://mirror.example/debian/ bookworm
http://mirror.example/debian-security/ bookworm-security
"""
ORIGIN = {
    "file": "qemu_10.0.13+ds.orig.tar.xz",
    "sha256": "2" * 64,
    "series": r"qemu_10\.0\.[0-9]+\+ds\.orig\.tar\.xz",
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for pin in sources.PINS.values():
        monkeypatch.delenv(pin["variable"], raising=False)


def offer(version: str, digit: str) -> SourceFile:
    return SourceFile("qemu", f"1:{version}+ds-1", f"qemu_{version}+ds.orig.tar.xz", digit * 64)


def test_index_is_parsed() -> None:
    assert parse_source_index(INDEX) == [
        SourceFile("qemu", "1:10.0.13+ds-0+u1", "qemu_10.0.13+ds.orig.tar.xz", "2" * 64),
        SourceFile("qemu", "1:10.0.2+ds-2", "qemu_10.0.2+ds.orig.tar.xz", "3" * 64),
    ]


def test_mirrors_come_from_the_system() -> None:
    assert mirror_addresses(TARGETS) == {
        False: "http://mirror.example/debian/",
        True: "http://mirror.example/debian-security/",
    }
    assert mirror_addresses("") == {}


def test_pinned_tarball_is_preferred() -> None:
    assert sources.choose_offer(ORIGIN, [offer("10.0.14", "4"), offer("10.0.13", "2")]) == offer("10.0.13", "2")


def test_newer_point_release_is_second_choice() -> None:
    offers = [offer("10.0.2", "3"), offer("10.0.14", "4"), offer("10.1.0", "5")]
    assert sources.choose_offer(ORIGIN, offers) == offer("10.0.14", "4")
    assert sources.choose_offer({**ORIGIN, "series": None}, offers) is None


def test_every_pin_is_complete(checkout: Path) -> None:
    text = (checkout / "build_scripts" / "sources" / "sources.json").read_text()
    assert "debian.org" not in text and "mirror" not in text
    for pin in sources.PINS.values():
        assert pin["version"] and pin["files"]
        assert all(len(digest) == 64 for digest in pin["files"].values())
        for origin in pin["origins"]:
            assert len(origin.get("sha256", origin.get("commit", ""))) in (40, 64)


def test_wrong_user_tree_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("9.9.9\n")
    monkeypatch.setenv("QEMU_SRC", str(tmp_path))
    with pytest.raises(LabError) as caught:
        sources.locate("qemu")
    assert caught.value.code == ExitCode.USAGE and "VERSION" in str(caught.value)


def test_cached_tree_is_used_and_the_pinned_one_first() -> None:
    for version, pin in (("10.0.14", "10.0.13"), ("10.0.13", "10.0.13"), ("10.0.12", "10.0.12")):
        tree = paths.cache_dir() / f"qemu-{version.replace('.', '')}"
        tree.mkdir()
        stamp = {"version": version, "pin": pin, "origin": "test", "identity": f"qemu-{version}", "added": []}
        (tree / sources.STAMP).write_text(json.dumps(stamp))
    (paths.cache_dir() / "qemu-unfinished").mkdir()
    assert sources.locate("qemu").version == "10.0.13"


def _pin(monkeypatch: pytest.MonkeyPatch, source: str = "qemu") -> None:
    """A pin of one listed file, fetched from nowhere: each fetch makes the same small tree."""
    version = hashlib.sha256(b"1\n").hexdigest()
    pin = {
        "version": "1",
        "variable": sources.PINS[source]["variable"],
        "files": {"VERSION": version},
        "origins": [{"kind": "test"}],
    }

    def fill(folder: Path) -> None:
        (folder / "VERSION").write_text("1\n")
        (folder / "unlisted.c").write_text("pristine\n")

    def fetch(name: str, _origin: dict[str, Any], log: Path, shown: Step) -> sources.Tree:
        facts = {"version": "1", "origin": "test", "identity": f"{source}-1"}
        return sources._publish(name, facts, fill, log, shown)

    monkeypatch.setattr(sources, "PINS", {source: pin})
    monkeypatch.setattr(sources, "_FETCH", {"test": fetch})


@pytest.mark.parametrize("text", [b"", b"\xff\0", b"[]", b"{}", b'{"pin": "1"}'])
def test_corrupt_stamp_means_fetched_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    """A tree whose stamp cannot be read is as good as none, and its place is taken."""
    _pin(monkeypatch)
    tree = sources.locate("qemu")
    (tree.path / "unlisted.c").unlink()
    (tree.path / sources.STAMP).write_bytes(text)
    assert sources.locate("qemu") == tree
    assert (tree.path / "unlisted.c").read_text() == "pristine\n"
    assert "damaged" in capsys.readouterr().err


def test_changed_tree_is_not_built_from(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a build a fetched tree must be what was fetched, also in a file that no list names."""
    _pin(monkeypatch)
    tree = sources.sound("qemu")
    assert sources.sound("qemu") == tree and "anew" not in capsys.readouterr().err
    (tree.path / "unlisted.c").write_text("changed!\n")
    assert sources.sound("qemu") == tree
    assert (tree.path / "unlisted.c").read_text() == "pristine\n"
    assert "was changed and is fetched anew" in capsys.readouterr().err


def test_own_tree_has_keys_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every file of the user's tree enters the key, which is never that of the fetched source."""
    _pin(monkeypatch)
    fetched = sources.locate("qemu")
    own = tmp_path / "own"
    shutil.copytree(fetched.path, own)
    monkeypatch.setenv("QEMU_SRC", str(own))
    first = sources.sound("qemu")
    assert (first.path, first.own) == (own, True)
    (own / "unlisted.c").write_text("changed!\n")
    second = sources.sound("qemu")
    keys = [qemu_build.binary_key(tree) for tree in (fetched, first, second)]
    keys += [qemu_unpatched.unpatched_key(tree) for tree in (fetched, first, second)]
    keys += [firmware_build.firmware_key(tree, "DEBUG") for tree in (fetched, first, second)]
    assert len(set(keys)) == 9
    # Edits of one tree are built in one folder, apart from the fetched source's.
    assert qemu_build.build_tree(first) == qemu_build.build_tree(second) != qemu_build.build_tree(fetched)
    assert (own / "unlisted.c").read_text() == "changed!\n", "it is never written"


def test_firmware_of_an_own_tree_is_kept_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What an edited edk2 gives is built and found with that tree only, and the pinned source's is found without."""
    _pin(monkeypatch, "edk2")
    monkeypatch.setattr(sources, "_FINISH", {})
    monkeypatch.setattr(sources, "edk2_dir", lambda: sources.locate("edk2").path)
    built = []

    def stuart(_target: str, edk2: Path, *_others: object) -> Path:
        built.append(edk2)
        for place in firmware_build.FILES.values():
            (tmp_path / "output" / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(edk2 / "unlisted.c", tmp_path / "output" / place)
        return tmp_path / "output"

    monkeypatch.setattr(firmware_build, "_run_stuart", stuart)
    fetched, own = sources.locate("edk2").path, tmp_path / "own"
    pristine = firmware_build.build_firmware()
    shutil.copytree(fetched, own)
    (own / "unlisted.c").write_text("changed!\n")
    monkeypatch.setenv("EDK2_DIR", str(own))
    edited = firmware_build.build_firmware()
    assert edited.code.read_text() == "changed!\n"
    assert firmware_build.surrounding_firmware("DEBUG") == edited, "the inner loop of the STM"
    monkeypatch.delenv("EDK2_DIR")
    assert firmware_build.build_firmware() == pristine == firmware_build.surrounding_firmware("DEBUG")
    assert pristine.code.read_text() == "pristine\n" and built == [fetched, own]


def test_every_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> sources.Tree:
        raise LabError("it is closed")

    monkeypatch.setattr(sources, "_FETCH", {"git": refuse, "distribution": refuse})
    with pytest.raises(LabError) as caught:
        sources.locate("edk2")
    assert str(caught.value).count("it is closed") == 2
    assert "EDK2_DIR" in str(caught.value)
    assert caught.value.code == ExitCode.BUILD_FAILED


def test_upstream_tag_must_be_the_pinned_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
        command = ["git", "-C", str(upstream), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (upstream / "VERSION").write_text("1\n")
    git("add", "VERSION")
    git("commit", "--quiet", "-m", "release")
    git("tag", "v1")
    origin = {"kind": "git", "url": f"file://{upstream}", "tag": "v1", "commit": "0" * 40, "submodules": []}
    pin = {"version": "1", "variable": "QEMU_SRC", "files": {}, "origins": [origin]}
    monkeypatch.setattr(sources, "PINS", {"qemu": pin})
    monkeypatch.setattr(sources, "_reachable", lambda url: True)
    with pytest.raises(LabError, match="not 0000"):
        sources.locate("qemu")
    assert list(paths.cache_dir().glob("qemu-*")) == []
    origin["commit"] = git("rev-parse", "HEAD")
    tree = sources.locate("qemu")
    assert (tree.path / "VERSION").read_text() == "1\n" and tree.version == "1"
    assert sources.locate("qemu") == tree
