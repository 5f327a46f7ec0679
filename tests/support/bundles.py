# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A teacher's finished cache, of small stand-ins, and the bundle that is exported from it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from build_scripts import bootstrap, cache, paths
from build_scripts.builds import firmware_build, qemu_build
from build_scripts.bundling import content, exchange
from build_scripts.sources import sources
from build_scripts.sources.content import tree_digest

SMALL_CHECKOUT = ("build_scripts/__init__.py", "README.md", bootstrap.LOCK_FILE.name)


def entry(store: str, key: str, files: dict[str, str]) -> None:
    """A finished entry of the cache; what has no ending is a program."""
    with paths.published(cache.entry(store, key)) as staging:
        for name, text in files.items():
            (staging / name).write_text(text)
            (staging / name).chmod(0o644 if "." in name else 0o755)
        cache.seal(staging)


def stamped(name: str) -> Path:
    """A fetched source, as far as its stamp tells."""
    identity = f"{name}-{sources.PINS[name]['version']}"
    folder = paths.cache_dir() / f"{name}-{cache.identity_of(identity)}"
    folder.mkdir()
    facts = {"pin": sources.PINS[name]["version"], "version": sources.PINS[name]["version"], "origin": "a test"}
    (folder / sources.STAMP).write_text(json.dumps(facts | {"identity": identity, "content": "0"}))
    return folder


def sealed(tree: Path) -> None:
    """What the tree holds now is what was fetched."""
    facts = json.loads((tree / sources.STAMP).read_text())
    (tree / sources.STAMP).write_text(json.dumps(facts | {"content": tree_digest(tree)}))


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with small stand-ins of all that is built, for this checkout's own keys."""
    for variable in ("EDK2_DIR", "QEMU_SRC", "STMLAB_QEMU", "STMLAB_SHARED_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    elsewhere(monkeypatch, tmp_path / "teacher")
    edk2, _qemu = stamped("edk2"), stamped("qemu")
    tools = edk2 / sources.BASETOOLS / "bin"
    tools.mkdir(parents=True)
    (tools / "GenFw").write_text("#!/bin/sh\n")
    (tools / "GenFw").chmod(0o755)
    (tools / "Link").symlink_to("GenFw")
    (edk2 / "Outside").symlink_to("/opt/X11/include")
    sealed(edk2)
    entry("machines", qemu_build.binary_key(sources.identify("qemu")), {qemu_build.BINARY: "#!/bin/sh\necho 10.0\n"})
    images = {name: f"image {name}" for name in (*firmware_build.FILES, firmware_build.MODULES)}
    entry("firmware", firmware_build.firmware_key(sources.identify("edk2"), "DEBUG"), images)
    packages = tmp_path / "teacher/stmlab/venv-1"
    (packages / "bin").mkdir(parents=True)
    (packages / "lib/python3/site-packages").mkdir(parents=True)
    (packages / "lib/python3/site-packages/thing.py").write_text("x = 1\n")
    (packages / "bin/thing").write_text(f"#!{packages}/bin/python\nprint(1)\n")
    (packages / "bin/thing").chmod(0o755)
    (packages / "bin/python").symlink_to(sys.executable)
    (packages / bootstrap.READY).touch()
    monkeypatch.setattr(bootstrap, "finished_environment", lambda: packages)
    monkeypatch.setattr(content, "checkout_files", lambda top: ((f"checkout/{n}", top / n) for n in SMALL_CHECKOUT))
    return tmp_path


@pytest.fixture
def bundle(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the teacher has exported; from now on the cache is a student's, and empty."""
    target = teacher / "lab.bundle"
    assert exchange.export(target) > 10
    elsewhere(monkeypatch, teacher / "student")
    return target


def nothing_left(base: Path) -> bool:
    """Whether an import has left no part, finished or not."""
    left = [path for path in base.rglob("*") if path.is_file() and "locks" not in path.parts]
    return [path for path in left if "indexes" not in path.parts] == []
