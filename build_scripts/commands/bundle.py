# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``bundle``: the finished lab as one file, for machines that have no compiler and no network."""

from __future__ import annotations

import argparse
from pathlib import Path

from build_scripts import paths
from build_scripts.bundling import exchange
from build_scripts.commands.arguments import Commands, add
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode
from build_scripts.progress import say, step


def export(target: Path) -> int:
    """Write a bundle.

    Raises:
        LabError: something has not been built, or the file cannot be written.
    """
    need_writable("bundle export", target)
    with step("writing the bundle") as shown:
        members = exchange.export(target, shown.line)
    size = target.stat().st_size / 1024**2
    print(f"{target}: {members:,} files, {size:,.0f} MB, SHA-256 {paths.sha256_file(target)}")
    print(f"On a student's machine, without compiler and network: python3 {target.name}")
    return int(ExitCode.OK)


def bring(archive: Path) -> int:
    """Take a bundle into the cache.

    Raises:
        LabError: it is damaged, of another checkout, or not for this system, or the disk is full.
    """
    with step("verifying and unpacking the bundle") as shown:
        added = exchange.bring(archive, shown.line, say)
    for folder in added:
        print(f"added {folder}")
    print("python3 -m build_scripts run" if added else "everything in it was there already")
    return int(ExitCode.OK)


def _bundle(options: argparse.Namespace) -> int:
    return export(options.file) if options.action == "export" else bring(options.file)


def declare(commands: Commands) -> None:
    """Add the command."""
    bundle = add(
        commands,
        "bundle",
        "take the finished lab to machines that have no compiler and no network",
        description="Write machine, firmware, Python environment and sources as one file, or take them from it.",
        examples="""
            stmlab bundle export stmlab.bundle    what is built, as one verified file
            python3 stmlab.bundle                 there: unpacks the checkout, and imports
            stmlab bundle import stmlab.bundle    with the same checkout
        """,
    )
    bundle.add_argument(
        "action",
        choices=("export", "import"),
        metavar="export|import",
        help="write a bundle, or take one into the cache",
    )
    bundle.add_argument("file", type=Path, metavar="FILE", help="the bundle")
    bundle.set_defaults(function=_bundle)
