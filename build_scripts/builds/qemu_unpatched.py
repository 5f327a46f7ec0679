# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU as its project released it, built like the machine: what the machine is compared with.

Version, flags and compiler are those of `qemu_build`. It is built once for
each of them, so that no tree is kept for a second time.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from build_scripts import cache, paths
from build_scripts.builds import qemu_build
from build_scripts.builds.compiler import compiler_version
from build_scripts.builds.qemu_build import BINARY, CONFIGURE
from build_scripts.progress import run_logged, step
from build_scripts.sources import sources


def unpatched_key(tree: sources.Tree) -> str:
    """The key of the finished binary: as for the machine, without our files."""
    return paths.content_key([], ["unpatched", tree.identity, compiler_version(), *CONFIGURE])


def unpatched_qemu() -> Path:
    """The binary without anything of ours, built if there is none.

    Raises:
        LabError: the source could not be obtained, or the build failed.
    """

    def key() -> str:
        return unpatched_key(sources.locate("qemu"))

    return cache.obtain("machines", key, _build, "unpatched QEMU", "qemu-unpatched") / BINARY


def _build(finished: Path) -> None:
    """Compile in a folder that is removed at the end; an interrupted build resumes there."""
    tree = sources.sound("qemu")
    folder = paths.cache_dir() / f"qemu-unpatched-{unpatched_key(tree)[:12]}"
    source, build = folder / "src", folder / "build"
    folder.mkdir(exist_ok=True)
    log = folder / "build.log"
    with step(f"building unpatched QEMU {tree.version} ({tree.origin})") as shown:
        if not source.is_dir():
            qemu_build.prepare_tree(tree, source)
        if not (build / "build.ninja").is_file():
            shutil.rmtree(build, ignore_errors=True)
            build.mkdir()
            command = [str(source / "configure"), f"--python={sys.executable}", *CONFIGURE]
            run_logged(command, log, shown, "configuring unpatched QEMU", cwd=build)
        ninja = ["ninja", f"-j{os.cpu_count() or 1}", BINARY]
        run_logged(ninja, log, shown, "compiling unpatched QEMU", cwd=build)
        qemu_build.strip(build / BINARY, finished / BINARY, log, shown)
    shutil.rmtree(folder, ignore_errors=True)
