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


TYPES, EXCLUDED = 1, 2
DEGRADATION_FAILURE = 0xC000_F003


def run(qemu: Path, mseg: Path, work: Path, scene: int) -> Run:
    rom = build_image(SOURCES, (*digest_defines(mseg), f"SCENE_DOMAIN={scene}")).rom
    return read_run(work, run_image(qemu, rom, work, DUAL_CPU, extra_arguments(work), timeout=60))


def test_calls_and_types(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Each status of the call, and for each type what the handler sees and what it can change."""
    result = run(qemu, mseg, tmp_path, TYPES)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 1000
    assert result.of("crash") == []
    # Each refusal has a record.
    refused = [
        record for record in result.of("api") if record.number("qual") and record.number("reason") == VMCS_DATABASE
    ]
    assert len(refused) >= 18


def test_degradation_that_is_excluded(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The interface demands a reset: a crash record with the code of StmStatusCode.h."""
    result = run(qemu, mseg, tmp_path, EXCLUDED)
    assert [check for check in result.outcome.checks if not check.passed] == []
    assert result.outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in result.outcome.log
    (crash,) = result.of("crash")
    assert (crash.fields["class"], crash.number("error")) == ("protection-exception", DEGRADATION_FAILURE)
