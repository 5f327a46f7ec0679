# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The event log of the real STM, as its executive monitor reads it."""

from __future__ import annotations

from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm.test_stm import HERE, digest_defines, extra_arguments, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "events.c"))


def test_events(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Each status, each event where it happens, no event of the STM's own traps, wrap-around, the end of a session."""
    rom = build_image(SOURCES, digest_defines(mseg)).rom
    outcome = run_image(qemu, rom, tmp_path, DUAL_CPU, extra_arguments(tmp_path), timeout=60)
    result = read_run(tmp_path, outcome)
    assert outcome.problems(expect_shutdown=False) == []
    assert len(outcome.checks) >= 180
    assert result.of("crash") == []
