# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SMI handlers that change every register: under the real STM nothing of it is left for the interrupted side."""

from __future__ import annotations

from pathlib import Path

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm.test_stm import HERE, digest_defines, extra_arguments, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "scramble.c"))


def image(mseg: Path) -> Rom:
    return build_image(SOURCES, digest_defines(mseg))


def test_registers_come_back(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """In root operation and in a guest: control and debug registers, MSRs, x87, SSE, AVX, MPX, PKRU."""
    outcome = run_image(qemu, image(mseg).rom, tmp_path, DUAL_CPU, extra_arguments(tmp_path), timeout=60)
    run = read_run(tmp_path, outcome)
    assert outcome.problems(expect_shutdown=False) == []
    names = [check.rule for check in outcome.checks]
    assert names.count("ROOT") == names.count("GUEST") - 1 > 40
    assert run.of("crash") == []
