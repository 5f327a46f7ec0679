# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reports of the sanitizers are found, and known ones are not."""

from __future__ import annotations

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
