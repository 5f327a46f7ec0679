# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine's source tree follows the checkout by content: only what changed is written."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from build_scripts.builds import qemu_build
from build_scripts.errors import LabError
from build_scripts.progress import Step
from build_scripts.sources import sources

HELLO = "one\ntwo\nthree\nfour\nfive\n"
PATCH = """--- a/hello.c
+++ b/hello.c
@@ -1,5 +1,6 @@
 one
 two
+{line}
 three
 four
 five
"""
ADDED = """--- /dev/null
+++ b/sub/new.c
@@ -0,0 +1 @@
+new
"""


class Setup:
    """A source of two files, a checkout's overlay, and the tree that follows them."""

    def __init__(self, base: Path) -> None:
        self.tree = sources.Tree(base / "pristine", "1", "test", "test-1")
        self.tree.path.mkdir()
        (self.tree.path / "hello.c").write_text(HELLO)
        (self.tree.path / "other.c").write_text("other\n")
        self.work = base / "build" / "src"
        shutil.copytree(self.tree.path, self.work)
        self.overlay = base / "overlay"
        (self.overlay / "patches").mkdir(parents=True)
        (self.overlay / "vmx").mkdir()
        (self.overlay / "vmx" / "vmx.c").write_text("vmx\n")
        self.log = base / "log"

    def patch(self, name: str, text: str) -> None:
        (self.overlay / "patches" / name).write_text(text)

    def synchronise(self) -> list[str]:
        return qemu_build.synchronise(self.tree, self.work, self.log, Step("test", None))


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    made = Setup(tmp_path)
    monkeypatch.setattr(qemu_build, "OVERLAY", made.overlay)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made.patch("0001.patch", PATCH.format(line="extra"))
    return made


def test_first_and_second_time(setup: Setup) -> None:
    assert setup.synchronise() == ["hello.c", "target/i386/tcg/vmx/vmx.c"]
    assert (setup.work / "hello.c").read_text() == HELLO.replace("three", "extra\nthree")
    before = (setup.work / "hello.c").stat().st_mtime_ns
    assert setup.synchronise() == []
    assert (setup.work / "hello.c").stat().st_mtime_ns == before


def test_one_changed_line_writes_one_file(setup: Setup) -> None:
    setup.patch("0002.patch", ADDED)
    setup.synchronise()
    (setup.overlay / "vmx" / "vmx.c").write_text("changed\n")
    assert setup.synchronise() == ["target/i386/tcg/vmx/vmx.c"]
    setup.patch("0001.patch", PATCH.format(line="other"))
    assert setup.synchronise() == ["hello.c"]


def test_a_removed_patch_is_undone(setup: Setup) -> None:
    setup.patch("0002.patch", ADDED)
    setup.synchronise()
    assert (setup.work / "sub" / "new.c").is_file()
    for name in ("0001.patch", "0002.patch"):
        (setup.overlay / "patches" / name).unlink()
    (setup.overlay / "vmx" / "vmx.c").unlink()
    assert setup.synchronise() == ["hello.c", "sub/new.c", "target/i386/tcg/vmx/vmx.c"]
    assert (setup.work / "hello.c").read_text() == HELLO
    assert not (setup.work / "sub" / "new.c").exists()


def test_series_is_applied_in_order(setup: Setup) -> None:
    second = PATCH.format(line="after").replace(" three", " extra\n three").replace("-1,5 +1,6", "-1,6 +1,7")
    setup.patch("0002.patch", second)
    setup.synchronise()
    assert (setup.work / "hello.c").read_text().splitlines()[2:4] == ["after", "extra"]


def test_a_hunk_that_needs_fuzz_is_refused(setup: Setup) -> None:
    setup.patch("0001.patch", PATCH.format(line="extra").replace(" one\n", " ONE\n"))
    with pytest.raises(LabError) as caught:
        setup.synchronise()
    assert "0001.patch" in str(caught.value) and caught.value.log == setup.log
    assert (setup.work / "hello.c").read_text() == HELLO


def test_pristine_source_is_never_written(setup: Setup) -> None:
    setup.synchronise()
    assert (setup.tree.path / "hello.c").read_text() == HELLO
    assert sorted(path.name for path in setup.tree.path.iterdir()) == ["hello.c", "other.c"]


def test_working_copy_is_what_was_left(setup: Setup) -> None:
    """A build goes on in a copy of this very source that nobody has touched, and only there."""
    folder = setup.work.parent
    assert not qemu_build._as_left(setup.tree, folder), "nothing says what it is"
    setup.synchronise()
    (folder / "stmlab-source").write_text(qemu_build._description(setup.tree, folder))
    assert qemu_build._as_left(setup.tree, folder)
    assert not qemu_build._as_left(dataclasses.replace(setup.tree, identity="test-2"), folder)
    (setup.work / "other.c").write_text("touched\n")
    assert not qemu_build._as_left(setup.tree, folder)


def test_the_sanitized_machine_is_another_one(tmp_path: Path) -> None:
    """Its binary and its build tree are kept apart, and the ordinary machine has no sanitizer."""
    tree = sources.Tree(tmp_path, "1", "test", "test-1")
    assert qemu_build.binary_key(tree) != qemu_build.binary_key(tree, sanitize=True)
    assert qemu_build.build_tree(tree) != qemu_build.build_tree(tree, sanitize=True)
    assert not set(qemu_build.SANITIZE) & set(qemu_build.CONFIGURE)
