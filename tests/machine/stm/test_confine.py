# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Under the real STM an SMI handler executes in its SMRAM, and on page tables in it."""

from __future__ import annotations

from pathlib import Path

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.observation.events import Kind
from tests.machine.stm.test_protect import ABOVE_4GB
from tests.machine.stm.test_stm import HERE, SMBASE, STM_BAD_PSD, Run, digest_defines, extra_arguments, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "confine.c"))
WHOLE, CR3, EVENT = range(3)
CR_ACCESS, EPT_VIOLATION = 28, 48
FETCH = 1 << 2  # of the exit qualification for EPT violations
#: Of confine.c: places where nothing may be executed, and loads of CR3 that are not the handler's own.
PLACES, OTHER_TABLES = 7, 8


def image(mseg: Path, scene: int) -> Rom:
    return build_image(SOURCES, (*digest_defines(mseg), f"SCENE={scene}"))


def run(qemu: Path, mseg: Path, work: Path, scene: int, cpu: str = DUAL_CPU) -> Run:
    extra = (*extra_arguments(work), *ABOVE_4GB)
    return read_run(work, run_image(qemu, image(mseg, scene).rom, work, cpu, extra, timeout=60))


def test_handler_stays_in_its_smram(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """#GP at the instruction; what it may do costs no VM exit, unless it is other page tables."""
    result = run(qemu, mseg, tmp_path, WHOLE)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    exits = [one for one in result.transitions if one.kind is Kind.HANDLER_EXIT]
    fetches = [one for one in exits if one.basic_reason == EPT_VIOLATION and one.qualification & FETCH]
    assert len(fetches) == PLACES
    assert sum(one.basic_reason == CR_ACCESS for one in exits) == OTHER_TABLES


def test_page_tables_of_the_psd(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The handler rewrites its PSD: crash at the next SMI, before it is entered."""
    result = run(qemu, mseg, tmp_path, CR3)
    assert [check for check in result.outcome.checks if not check.passed] == []
    assert result.outcome.status == 0, "the machine ends by a reset under -no-reboot"
    (crash,) = result.of("crash")
    assert (crash.fields["class"], crash.number("error")) == ("bad-state", STM_BAD_PSD)
    assert crash.number("qual") == SMBASE


def test_event_whose_frame_is_mapped_only_now(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Without EPT leaves of 1 GB the STM maps above 4 GB on demand; the exception comes, with its error code."""
    result = run(qemu, mseg, tmp_path, EVENT, f"{DUAL_CPU},-vmx-ept-1gb")
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    exits = [one for one in result.transitions if one.kind is Kind.HANDLER_EXIT and one.basic_reason == EPT_VIOLATION]
    assert len(exits) == 1, "the frame was mapped before"
