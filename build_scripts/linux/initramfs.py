# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The first file system: our process 1, the modules of KVM, and what a Linux guest under KVM boots from."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from build_scripts import cache, paths
from build_scripts.builds.compiler import compiler_version
from build_scripts.errors import LabError
from build_scripts.linux.cpio import archive
from build_scripts.linux.kernel import Kernel

SOURCES = Path(__file__).parent / "init"
GUEST_SOURCES = Path(__file__).parent / "guest"
FOLDERS = ("dev", "proc", "sys", "lib", "lib/lab", "guest")
# Modules that KVM does not need.
ALONE = ("efivarfs.ko", "button.ko")
CFLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-static", "-O2", "-g0", "-pthread", "-Wall", "-Wextra", "-Werror")


def _compile(folder: Path, target: Path) -> None:
    sources = sorted(path for path in folder.iterdir() if path.suffix in {".c", ".S"})
    command = ["gcc", *CFLAGS, "-o", str(target), *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LabError(f"{folder.name}: the compiler failed\n{result.stderr}")


def _program(folder: Path) -> bytes:
    """The static program made of a folder's sources; a finished one of the same inputs is used again."""
    key = paths.content_key(paths.files_below(folder), [compiler_version(), *CFLAGS], folder)

    def make(target: Path) -> None:
        _compile(folder, target / "program")

    finished = cache.obtain("linux-programs", lambda: key, make, f"the Linux program {folder.name}")
    return (finished / "program").read_bytes()


def build(
    kernel: Kernel,
    program: Path | None = None,
    modules: tuple[Path, ...] = (),
    beside: Mapping[str, bytes] | None = None,
) -> bytes:
    """Make the archive.

    Args:
        program: a program to run instead of the lab's own steps: static, or with what it needs in `beside`.
        modules: further ones, of the lab's own.
        beside: further files, path to content; those below a folder ``bin`` or ``lib64`` can be executed.
    Raises:
        LabError: the compiler failed.
    """
    files = {"init": _program(SOURCES)}
    files |= {f"lib/lab/{path.name}": path.read_bytes() for path in (*kernel.modules, *modules)}
    files["lib/lab/order"] = "".join(f"{path.name}\n" for path in kernel.modules if path.name not in ALONE).encode(
        "ascii"
    )
    if program is not None:
        files["program"] = program.read_bytes()
    else:
        files["guest/vmlinuz"] = kernel.image.read_bytes()
        files["guest/initrd"] = archive(("dev",), {"init": _program(GUEST_SOURCES)}, ("init",))
    others = dict(beside or {})
    programs = [name for name in others if {"bin", "lib64"} & {*PurePosixPath(name).parts}]
    folders = {str(folder) for name in others for folder in PurePosixPath(name).parents} - {".", *FOLDERS}
    return archive((*FOLDERS, *sorted(folders)), files | others, ("init", "program", *programs))


def build_plain(kernel: Kernel) -> bytes:
    """Make the archive for a guest of the executive monitor: process 1 and the modules that it loads, no KVM.

    Raises:
        LabError: the compiler failed.
    """
    files = {"init": _program(SOURCES)}
    files |= {f"lib/lab/{path.name}": path.read_bytes() for path in kernel.modules if "kvm" not in path.name}
    return archive(FOLDERS, files, ("init",))
