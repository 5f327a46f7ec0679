# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Export and import of a bundle: both leave either everything or nothing."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from build_scripts import bootstrap, cache, paths
from build_scripts.builds import firmware_build, qemu_build
from build_scripts.bundles import host, record, starter
from build_scripts.bundles.archive import EDK2, FIRMWARE, MACHINE, STARTER, Bundle, Told, Writer, quiet
from build_scripts.bundling import content
from build_scripts.errors import ExitCode, LabError
from build_scripts.sources import sources
from build_scripts.sources.content import tree_digest

LOCK = "bundle"


@contextmanager
def _replaced(target: Path) -> Iterator[IO[bytes]]:
    """A file beside the target that takes its place if the block succeeds."""
    staging = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with staging.open("xb") as output:
            yield output
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


def export(target: Path, told: Told = quiet) -> int:
    """Write what is finished as a bundle.

    Args:
        told: called with the name of each member.
    Returns:
        How many members it has.
    Raises:
        LabError: something has not been built, or the file cannot be written.
    """
    parts = content.finished()
    members = list(content.files(parts))
    with _replaced(target) as output, Writer(output, told) as writer:
        with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
            program.write(starter.PROGRAM)
            program.flush()
            writer.add(STARTER, Path(program.name))
        for name, path in members:
            writer.add(name, path)
        writer.finish(content.header(parts))
    return len(members) + 1


def _of_this_checkout(bundle: Bundle) -> None:
    """Check that the bundle's images are those of this checkout.

    Raises:
        LabError: they are of another state of the lab.
    """
    header = bundle.header
    for name, facts in header["sources"].items():
        if facts["pin"] != sources.PINS[name]["version"]:
            raise LabError(
                f"{bundle.archive} is made of {name} {facts['pin']}, and this checkout wants "
                f"{sources.PINS[name]['version']}",
                ExitCode.USAGE,
                remedy=f"take the checkout that it carries: python3 {bundle.archive} FOLDER",
            )
    trees = {
        name: sources.Tree(Path(), facts["version"], facts["origin"], facts["identity"])
        for name, facts in header["sources"].items()
    }
    keys = {
        "machine": qemu_build.binary_key(trees["qemu"], compiler=header["compiler"]),
        "firmware": firmware_build.firmware_key(trees["edk2"], content.TARGET, header["compiler"]),
    }
    for name, key in keys.items():
        if header[name] != key:
            raise LabError(
                f"the {name} in {bundle.archive} (lab {header['lab']}) is of other sources than this checkout's",
                ExitCode.USAGE,
                remedy=f"take the checkout that it carries: python3 {bundle.archive} FOLDER",
            )


def _check_machine(folder: Path) -> None:
    """Check that the machine starts here.

    Raises:
        LabError: a library is missing.
    """
    binary = folder / qemu_build.BINARY
    result = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(
            f"the machine does not start on this system: {result.stderr.strip()}",
            ExitCode.MISSING_PACKAGES,
            remedy="as root: apt-get install libglib2.0-0 zlib1g (libglib2.0-0t64 from Debian 13 on)",
        )


def _unpack_entry(bundle: Bundle, part: str, staging: Path, told: Told) -> None:
    bundle.unpack(part, staging, told)
    if lacks := cache.damage(staging):
        raise LabError(f"{bundle.archive}: the {part} in it is damaged: {lacks}", ExitCode.USAGE)
    if part == MACHINE:
        _check_machine(staging)


def _unpack_edk2(bundle: Bundle, staging: Path, told: Told) -> None:
    bundle.unpack(EDK2, staging, told)
    facts = bundle.header["sources"]["edk2"]
    # Links out of the tree were left behind, so its digest is another one. Each file was compared with the manifest.
    stamp = facts | {"added": [], "content": tree_digest(staging)}
    (staging / sources.STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def _is_finished(target: Path) -> bool:
    return target.is_dir() and ((target / sources.STAMP).is_file() or not cache.damage(target))


def bring(archive: Path, told: Told = quiet, waiting: Callable[[str], None] | None = None) -> list[Path]:
    """Take a bundle into one's own cache. All of it is verified first.

    The Python environment is set up in place, unless there is one; the other parts are unpacked, and published after
    the last of them.

    Args:
        told: called with the name of each member.
        waiting: as of `paths.locked`.
    Returns:
        The folders that it has added; those that were there stay as they are.
    Raises:
        LabError: it is damaged, of another checkout, or not for this system, or the disk is full.
    """
    with Bundle(archive) as bundle:
        host.need_same(bundle)
        _of_this_checkout(bundle)
        facts = bundle.header["sources"]
        base = paths.cache_dir()
        places = {
            MACHINE: cache.entry("machines", bundle.header["machine"]),
            FIRMWARE: cache.entry("firmware", bundle.header["firmware"]),
            EDK2: base / f"edk2-{cache.identity_of(facts['edk2']['identity'])}",
        }
        with paths.locked(LOCK, waiting):
            wanted = {part: target for part, target in places.items() if not _is_finished(target)}
            if bootstrap.finished_environment() is None:
                bootstrap.environment_of_bundle(sys.executable, archive, tuple(wanted))
            if wanted:
                host.need_room(bundle, base, wanted)
            bundle.verify(told)
            with ExitStack() as all_or_nothing:
                for part, target in wanted.items():
                    if target.exists():
                        cache.discard(target)
                    staging = all_or_nothing.enter_context(paths.published(target))
                    if part == EDK2:
                        _unpack_edk2(bundle, staging, told)
                    else:
                        _unpack_entry(bundle, part, staging, told)
            record.write(bundle.header["compiler"], facts)
    return list(wanted.values())
