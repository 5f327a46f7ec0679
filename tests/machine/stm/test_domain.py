# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The VMCS database of the real STM: its call, and what its records keep from the SMI handler."""

from __future__ import annotations

from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm.test_stm import HERE, Run, digest_defines, extra_arguments, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "domain.c"))
VMCS_DATABASE = 0x1_0006


def run(qemu: Path, mseg: Path, work: Path) -> Run:
    rom = build_image(SOURCES, digest_defines(mseg)).rom
    return read_run(work, run_image(qemu, rom, work, DUAL_CPU, extra_arguments(work), timeout=60))


def test_calls(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Each status, before START and after it; a table that is full; a session that is over."""
    result = run(qemu, mseg, tmp_path)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 400
    assert result.of("crash") == []
    # Each refusal has a record.
    refused = [
        record for record in result.of("api") if record.number("qual") and record.number("reason") == VMCS_DATABASE
    ]
    assert len(refused) >= 18
