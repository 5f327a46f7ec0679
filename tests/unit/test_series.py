# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The patches of the machine as one would send them: numbers, order, signatures, and QEMU's own style check."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from build_scripts import system
from build_scripts.builds import qemu_build
from build_scripts.sources import sources

# What QEMU's checkpatch.pl says of lines that follow the file around them, or of what only a sender can do.
TABLES = "target/i386/tcg/decode-new.c.inc"
ACCEPTED = {
    (TABLES, "space required after that ',' (ctx:VxV)"),
    (TABLES, "return is not a function, parentheses are not required"),
    ("target/i386/cpu.c", "Block comments use a trailing */ on a separate line"),
    ("", "added, moved or deleted file(s), does MAINTAINERS need updating?"),
}
REPORT = re.compile(r"^(?:ERROR|WARNING): (?P<text>.+)\n#\d+:(?: FILE: (?P<file>[^:]+):\d+:)?", re.MULTILINE)
FIRST_OF_VMX = "split-MSR-accesses"


@pytest.fixture(scope="module")
def series() -> list[Path]:
    return qemu_build.patches()


def _checked(*arguments: str) -> set[tuple[str, str]]:
    """What checkpatch.pl reports, by file and text."""
    tree = sources.locate("qemu").path
    (need,) = [need for need in system.TEST_NEEDS if need.package == "perl"]
    assert not system.missing((need,)), "checkpatch.pl needs perl with its modules: 'test' installs it if it can"
    command = ["perl", str(tree / "scripts" / "checkpatch.pl"), "--no-tree", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "lines checked" in done.stdout, done.stdout + done.stderr
    return {(match["file"] or "", match["text"]) for match in REPORT.finditer(done.stdout)}


def test_numbers(series: list[Path]) -> None:
    """Each once, from 1 on; and README has a row for each."""
    numbers = [path.name[:4] for path in series]
    assert numbers == [f"{number:04}" for number in range(1, len(series) + 1)]
    table = (qemu_build.OVERLAY / "README.md").read_text(encoding="utf-8")
    rows = [number for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for number in row.split(", ")]
    assert rows == numbers


def test_repairs_come_first_and_need_no_vmx(series: list[Path]) -> None:
    """Up to the first patch for VMX nothing mentions it in code."""
    (first,) = [number for number, path in enumerate(series) if FIRST_OF_VMX in path.name]
    assert first > 20
    for path in series[:first]:
        added = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\+(?!\+\+ )", line)]
        code = [line for line in added if not re.match(r"\+\s*(?:/?\*|//)", line)]
        assert not [line for line in code if "vmx" in line.lower()], path.name


def test_each_is_signed_and_says_why(series: list[Path]) -> None:
    for path in series:
        head = path.read_text(encoding="utf-8").partition("\n---\n")[0]
        assert "\nSigned-off-by: STM Lab developers <stm-lab@example.org>" in head, path.name
        body = head.partition("Subject: ")[2].partition("\n\n")[2]
        assert len(body.partition("Signed-off-by")[0].split()) > 4, path.name


def test_patches_have_the_style_of_qemu(series: list[Path]) -> None:
    assert _checked(*map(str, series)) - ACCEPTED == set()


def test_new_files_have_the_style_of_qemu() -> None:
    files = [str(path) for path in qemu_build.overlay_files() if path.suffix in (".c", ".h", ".inc")]
    assert len(files) > 40
    assert _checked("-f", *files) - ACCEPTED == set()
