# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reports of the sanitizers are found, and known ones are not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.machine import sanitizers
from tests.machine.sanitizers import Suppression

UNDEFINED = "../src/hw/timer/hpet.c:12:3: runtime error: shift exponent 70 is too large\n    #0 0x1 in f hpet.c:12\n"
ADDRESS = "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x1\n    #0 0x1 in g\n"
NOISE = "==7==WARNING: ASan doesn't fully support makecontext\n"


def test_reports_are_found(tmp_path: Path) -> None:
    """Both kinds, each place once, with their traces."""
    (tmp_path / "sanitizer.7").write_text(NOISE + UNDEFINED + UNDEFINED + ADDRESS)
    (tmp_path / "sanitizer.8").write_text(NOISE)
    found = sanitizers.reports(tmp_path, [])
    assert len(found) == 2
    assert "hpet.c:12:3: shift exponent 70" in found[0].what
    assert "in f hpet.c:12" in found[0].trace
    assert "heap-buffer-overflow" in str(found[1])


def test_known_ones_are_silent(tmp_path: Path) -> None:
    """File and message must both fit."""
    (tmp_path / "sanitizer.7").write_text(UNDEFINED)
    assert not sanitizers.reports(tmp_path, [Suppression("hw/timer/hpet.c", "shift exponent", "stock")])
    assert sanitizers.reports(tmp_path, [Suppression("hw/timer/hpet.c", "overflow", "stock")])
    assert sanitizers.reports(tmp_path, [Suppression("hw/acpi.c", "shift exponent", "stock")])


def test_list() -> None:
    """The list of the repository can be read; nothing of ours is in it."""
    assert not [s for s in sanitizers.suppressions() if "vmx" in s.file]


def test_a_reason_is_needed(tmp_path: Path) -> None:
    """A line without one is refused."""
    path = tmp_path / "list.txt"
    path.write_text("# a comment\n\nhw/x.c: shift exponent\n")
    with pytest.raises(ValueError, match=r"hw/x\.c"):
        sanitizers.suppressions(path)


PROGRAM = """
#include <stdlib.h>
int main(int count, char **arguments)
{
    volatile int shift = 40 + count;
    volatile int result = 1 << shift;
    volatile char *memory = malloc(8);
    (void)arguments;
    (void)result;
    return memory[8 + count];
}
"""


def test_both_sanitizers_are_heard(tmp_path: Path) -> None:
    """A program with one error of each kind, built and run as the machine is: both are found."""
    source, program = tmp_path / "wrong.c", tmp_path / "wrong"
    source.write_text(PROGRAM)
    build = ["gcc", "-g", "-O1", "-fsanitize=address,undefined", "-o", str(program), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    variables = os.environ | sanitizers.environment(tmp_path)
    ended = subprocess.run([program], env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    sanitizers.note_errors(tmp_path, ended.stderr)
    found = [report.what for report in sanitizers.reports(tmp_path, [])]
    assert any("shift exponent 41" in what for what in found)
    assert any("heap-buffer-overflow" in what for what in found)
