# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What goes into a bundle: machine, firmware, Python environment, edk2 and the checkout, all as they are finished."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from build_scripts import __version__, bootstrap, cache, paths
from build_scripts.builds import firmware_build, qemu_build
from build_scripts.builds.compiler import known_compilers
from build_scripts.bundles import environment, host
from build_scripts.bundles.archive import CHECKOUT, EDK2, FIRMWARE, MACHINE
from build_scripts.bundles.record import SOURCE_FACTS
from build_scripts.errors import ExitCode, LabError
from build_scripts.sources import sources
from build_scripts.sources.content import tree_digest

TARGET = "DEBUG"
_Found = TypeVar("_Found")
# Of a checkout without git: what a run leaves in it, and what belongs to its owner.
_NOT_SOURCES = frozenset({".git", "Build", "Conf", "_build", "__pycache__"})
_BUILD_FIRST = "python3 -m build_scripts build, and then again"


@dataclass(frozen=True)
class Finished:
    """Where the finished parts are, and what they are made of.

    Attributes:
        machine: the cache's folder of the machine.
        firmware: the cache's folder of the firmware.
        environment: the Python environment.
        edk2: the tree of its source.
        qemu: identity and version of its source.
        compiler: the version of the one that made machine and firmware.
    """

    machine: Path
    firmware: Path
    environment: Path
    edk2: sources.Tree
    qemu: sources.Tree
    compiler: str


def _need(found: _Found | None, lacks: str) -> _Found:
    if found is None:
        raise LabError(lacks, ExitCode.USAGE, remedy=_BUILD_FIRST)
    return found


def _need_sound(edk2: sources.Tree) -> None:
    """Check that edk2 is what was fetched: what imports it takes it for that.

    Raises:
        LabError: it is missing or was changed.
    """
    if not edk2.path.is_dir():
        raise LabError(
            "edk2 is missing; a bundle brought it once",
            ExitCode.USAGE,
            remedy="import that bundle again, and export then",
        )
    if edk2.content and tree_digest(edk2.path) != edk2.content:
        raise LabError(
            f"edk2 in the cache was changed: {edk2.path}", ExitCode.USAGE, remedy=f"delete it, then {_BUILD_FIRST}"
        )


def finished() -> Finished:
    """What the cache holds for this checkout; nothing is built for a bundle.

    Raises:
        LabError: something has not been built yet, was changed, or is of somebody's own source.
    """
    edk2, qemu = (_need(sources.known(name), f"{name} has not been fetched yet") for name in ("edk2", "qemu"))
    for tree in (edk2, qemu):
        if tree.own:
            raise LabError(
                f"a bundle holds what the pinned sources give, and {tree.origin} is set",
                ExitCode.USAGE,
                remedy="unset it",
            )
    if os.environ.get("STMLAB_QEMU"):
        raise LabError("a bundle holds the lab's own machine; STMLAB_QEMU is set", ExitCode.USAGE, remedy="unset it")
    # One compiler for both: the importing lab knows one.
    for compiler in known_compilers():
        machine = cache.existing("machines", qemu_build.binary_key(qemu, compiler=compiler))
        firmware = cache.existing("firmware", firmware_build.firmware_key(edk2, TARGET, compiler))
        if machine is not None and firmware is not None:
            _need_sound(edk2)
            packages = _need(bootstrap.finished_environment(), "the Python environment has not been made yet")
            return Finished(machine, firmware, packages, edk2, qemu, compiler)
    _need(qemu_build.finished_machine(), "the machine of this checkout has not been built yet")
    raise LabError("the firmware of this checkout has not been built yet", ExitCode.USAGE, remedy=_BUILD_FIRST)


def header(parts: Finished) -> dict[str, Any]:
    """What the bundle says of itself."""
    return {
        "lab": __version__,
        **host.facts(),
        "compiler": parts.compiler,
        "sources": {
            name: {"pin": sources.PINS[name]["version"]}
            | {fact: getattr(tree, fact) for fact in SOURCE_FACTS if fact != "pin"}
            for name, tree in (("edk2", parts.edk2), ("qemu", parts.qemu))
        },
        "environment": str(parts.environment),
        "machine": parts.machine.name,
        "firmware": parts.firmware.name,
    }


def checkout_files(checkout: Path) -> Iterator[tuple[str, Path]]:
    """The sources as they stand: with git what it tracks or would, else all but results of builds."""
    command = ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=False) if (checkout / ".git").exists() else None
    except OSError:
        listed = None  # no git on this system
    if listed is not None and listed.returncode == 0:
        found = sorted(Path(name) for name in listed.stdout.decode().split("\0") if name)
    else:
        every = (path.relative_to(checkout) for path in paths.files_below(checkout))
        found = [path for path in every if not _NOT_SOURCES & set(path.parts) and path.suffix != ".bundle"]
    for relative in found:
        if (checkout / relative).is_file():
            yield f"{CHECKOUT}/{relative.as_posix()}", checkout / relative


def edk2_files(tree: Path) -> Iterator[tuple[str, Path]]:
    """The source with its compiled BaseTools; without our stamp, and without links that lead out of it."""
    for path in sorted(tree.rglob("*")):
        if path.name == sources.STAMP or "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            if path.resolve().is_relative_to(tree.resolve()) and not path.readlink().is_absolute():
                yield f"{EDK2}/{path.relative_to(tree).as_posix()}", path
        elif path.is_file():
            yield f"{EDK2}/{path.relative_to(tree).as_posix()}", path


def files(parts: Finished) -> Iterator[tuple[str, Path]]:
    """Every file of a bundle, each with its name there; what is small comes first."""
    yield from checkout_files(paths.CHECKOUT)
    for part, folder in ((MACHINE, parts.machine), (FIRMWARE, parts.firmware)):
        for path in paths.files_below(folder):
            yield f"{part}/{path.relative_to(folder).as_posix()}", path
    yield from environment.files(parts.environment)
    yield from edk2_files(parts.edk2.path)
