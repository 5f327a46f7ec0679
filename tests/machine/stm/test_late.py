# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Launchers of every kind, against the real STM: registers, activating VMCSs, physical address widths; an example."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm.test_stm import HERE, Run, digest_defines, extra_arguments, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "late.c", "late32.asm", "no_guests.c"))
# As late.c has them: systems as they are, then mode, CR0.WP, EFER.NXE and what the activating VMCS holds.
MATRIX = product(
    ("64-bit", "32-bit", "pae"),
    ("wp", "no-wp"),
    ("nxe", "no-nxe"),
    ("empty", "empty-32-bit-host", "copy-of-guest", "guest"),
)
LAUNCHERS = ("linux", "linux-mce", "nxe-clear", "firmware", *(",".join(one) for one in MATRIX))
# Checks of a launcher: three calls with nine each, and what is around them in 64-bit and in 32-bit mode.
CALLS, AROUND_64, AROUND_32 = 3 * 9, 11, 8


@pytest.fixture(scope="module", params=[40, 39], ids=["40-bits", "39-bits"])
def run(request: pytest.FixtureRequest, qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All launchers, one after the other, on a processor of that physical address width."""
    work = tmp_path_factory.mktemp("late")
    rom = build_image(SOURCES, digest_defines(mseg)).rom
    cpu = f"{DUAL_CPU},phys-bits={request.param}"
    return read_run(work, run_image(qemu, rom, work, cpu, extra_arguments(work), timeout=60))


@pytest.mark.parametrize("name", LAUNCHERS)
def test_launcher(run: Run, name: str) -> None:
    """The STM starts, serves SMIs of it and of its guest, and stops, and changes no register but those that answer."""
    checks = [check for check in run.outcome.checks if check.name == name]
    assert [str(check) for check in checks if not check.passed] == []
    assert len(checks) == CALLS + (AROUND_32 if name.startswith(("32-bit,", "pae,")) else AROUND_64)


def test_run_ends_well(run: Run) -> None:
    assert run.outcome.problems(expect_shutdown=False) == []
    assert {check.name for check in run.outcome.checks if check.rule.startswith("LATE-")} == set(LAUNCHERS)
    for event in ("init", "start", "stop"):
        assert len(run.of(event)) == len(LAUNCHERS), event
    assert run.of("crash") == []


OWN_VMM = tuple(str(HERE / name) for name in ("firmware.c", "own_vmm.c", "no_guests.c"))


def run_example(qemu: Path, mseg: Path, work: Path, *defines: str) -> Run:
    rom = build_image(OWN_VMM, (*digest_defines(mseg), *defines)).rom
    return read_run(work, run_image(qemu, rom, work, DUAL_CPU, extra_arguments(work), timeout=60))


def test_own_vmm(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The example of the page on launching: protects its page, takes two SMIs, stops."""
    run = run_example(qemu, mseg, tmp_path)
    assert run.outcome.problems(expect_shutdown=False) == []
    assert {check.name for check in run.outcome.checks if check.rule == "OWN"} >= {"stop", "smis", "vmxoff"}
    assert [record.number("smis") for record in run.of("stop")] == [2]


def test_own_vmm_is_protected(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """A handler that reads the example's page does not come back from it."""
    run = run_example(qemu, mseg, tmp_path, "CURIOUS")
    (crash,) = run.of("crash")
    assert crash.text("class") == "protection-exception"
    assert run.of("start") != [] and run.of("stop") == []
