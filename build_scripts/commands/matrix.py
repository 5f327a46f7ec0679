# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``matrix``: what newer sources than the pinned ones would make of us."""

from __future__ import annotations

import json
from pathlib import Path

from build_scripts.commands.arguments import Commands, add
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode
from build_scripts.observation import show
from build_scripts.tables import compact_table
from build_scripts.versions import matrix as versions
from build_scripts.versions.matrix import Row, Status

SCHEMA_VERSION = 1


def declare(commands: Commands) -> None:
    """Add the command to the grammar of the command line."""
    newer = add(
        commands,
        "matrix",
        "say which versions of QEMU and edk2 would do",
        examples="""
            stmlab matrix                   what the distribution's newest index has
            stmlab matrix --qemu ~/qemu     a tree of yours instead
        """,
    )
    for name in ("qemu", "edk2"):
        newer.add_argument(
            f"--{name}", type=Path, metavar="TREE", action="append", default=[], help=f"a tree of {name}"
        )
    newer.add_argument("--json", type=Path, metavar="FILE", help="write the facts")
    newer.set_defaults(function=lambda options: matrix(options.qemu, options.edk2, options.json))


def matrix(qemu: list[Path], edk2: list[Path], json_file: Path | None) -> int:
    """Try versions, print what became of each, and write what was asked for.

    Args:
        qemu: source trees instead of those that the distribution's newest index offers.
        edk2: likewise.
        json_file: where to write the facts.

    Returns:
        OK if everything holds of the pinned versions: what newer ones lack is what the table is for.

    Raises:
        LabError: a pinned source could not be had, a tree is none, or the file cannot be written.
    """
    need_writable("--json", json_file)
    rows = versions.matrix({"qemu": qemu, "edk2": edk2})
    out = show.console()
    table = compact_table("versions", words=("Source", "Version", "Result", "Why"), numbers=())
    for row in rows:
        table.add_row(row.name, f"{row.version}{' (pinned)' if row.pinned else ''}", row.status.value, row.reason)
    out.print(table)
    for row in rows:
        for line in _details(row):
            show.tell(out, line)
    if json_file is not None:
        facts = {"schema_version": SCHEMA_VERSION, "rows": [row.as_json() for row in rows]}
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    pinned_fails = any(row.pinned and row.status is not Status.PASSED for row in rows)
    return ExitCode.EXPECTATION_FAILED if pinned_fails else ExitCode.OK


def _details(row: Row) -> list[str]:
    """Each patch that a build would not take, and each file that is not there."""
    bad = [one for one in row.patches if not one.passed]
    lines = [f"{row.name} {row.version}:"] if bad or row.missing else []
    for one in bad:
        lines += [f"  {one.name}: {one.fit.value}", *(f"    {complaint}" for complaint in one.complaints)]
    return [*lines, *(f"  {what}" for what in row.missing)]
