# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A clone in which stuart_build finds what it compiled from the same sources in an earlier run.

A firmware build from nothing takes minutes, and the same sources give the same images. So the clone for it lies at one
place in the cache, where its objects stay; they are used again only while every file they are made of is the same, and
after a page whose commands all worked. Everything else in the clone is fresh.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build_scripts import paths
from build_scripts.builds import firmware_build
from build_scripts.builds.compiler import compiler_version
from build_scripts.progress import say
from build_scripts.sources import sources

LOCK = "page-build"
KEPT = ("Build", "Conf")


def _key(clone: Path) -> str:
    """The key of all that the firmware of a clone is made of."""
    files = paths.files_below(*(clone / name for name in firmware_build.INPUTS))
    return paths.content_key(files, [sources.locate("edk2").identity, compiler_version()], base=clone)


@contextmanager
def clone(repository: Path) -> Iterator[Path]:
    """Give a fresh clone of the repository's commit, with the objects of the last one if they are still right.

    Keeps what the block built, unless it raised.
    """
    folder = paths.cache_dir() / LOCK
    work, aside, stamp = folder / "stm-lab", folder / "kept", folder / "stamp"
    with paths.locked(LOCK, say):
        folder.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name in KEPT:
            if (work / name).is_dir():
                (work / name).rename(aside / name)
        shutil.rmtree(work, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", str(repository), str(work)], check=True)
        key, made = _key(work), (work / ".git" / "HEAD").stat().st_mtime
        if stamp.is_file() and stamp.read_text() == key:
            for path in aside.iterdir():
                path.rename(work / path.name)
            # make compares times: the sources are as old as the objects' own were.
            made = stamp.stat().st_mtime
            for path in paths.files_below(*(work / name for name in firmware_build.INPUTS)):
                os.utime(path, (made, made))
        shutil.rmtree(aside)
        stamp.unlink(missing_ok=True)
        yield work
        stamp.write_text(key)
        os.utime(stamp, (made, made))
