# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The images, the hostile pointers and the fuzzers on a machine built with sanitizers.

Not in the ordinary run: the build takes ten minutes.  ``stmlab test -m sanitize``.
Every report is a failure unless ``sanitizers.txt`` knows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from build_scripts.builds import qemu_build
from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import TABLE, Image
from tests.machine import hostile, sanitizers
from tests.machine.test_robustness import MACHINES
from tests.machine.test_vmcs_fuzz import BATCH, BATCHES, SEED, Fuzzer
from tests.machine.vmcs_mutate import changed_under_the_guest
from tests.machine.vmcs_run import Machine, judge

pytestmark = [pytest.mark.machine, pytest.mark.sanitize]

TIMEOUT = 120.0


@pytest.fixture(scope="session")
def sanitized() -> Path:
    """The machine with sanitizers: STMLAB_SANITIZED_QEMU, else what the lab has built or builds."""
    named = os.environ.get("STMLAB_SANITIZED_QEMU")
    return Path(named) if named else qemu_build.extended_qemu(sanitize=True)


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No sanitizer may have reported anything when the test is over."""
    for name, value in sanitizers.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    yield
    found = sanitizers.reports(tmp_path, sanitizers.suppressions())
    assert not found, "\n\n".join(str(report) for report in found)


@pytest.mark.parametrize("image", TABLE, ids=lambda image: image.name)
def test_image(image: Image, sanitized: Path, tmp_path: Path) -> None:
    """Every image of the table, with the same checks."""
    rom = build_image(image.sources, image.defines)
    outcome = run_image(sanitized, rom.rom, tmp_path, image.cpu, image.extra, TIMEOUT)
    sanitizers.note_errors(tmp_path, outcome.errors)
    problems = outcome.problems(image.ends_in_shutdown, image.deviations)
    assert not problems, f"{image.name}:\n" + "\n".join(problems)


@pytest.mark.parametrize("extra", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("group", hostile.GROUPS)
def test_hostile_pointers(group: str, extra: tuple[str, ...], sanitized: Path, tmp_path: Path) -> None:
    """Every pointer at every kind of place."""
    machine = Machine(sanitized, tmp_path, extra)
    operations = list(hostile.GROUPS[group](machine.capabilities()))
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", hostile.GROUPS)
def test_tables_change_meanwhile(group: str, sanitized: Path, tmp_path: Path) -> None:
    """Another processor changes tables, bitmaps and lists while they are used."""
    machine = Machine(sanitized, tmp_path, ("-smp", "2"), threads=True, racer=True)
    operations = [replace(o, expect="") for o in hostile.GROUPS[group](machine.capabilities())]
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("extra", MACHINES.values(), ids=MACHINES)
def test_random_vmcs(extra: tuple[str, ...], sanitized: Path, tmp_path: Path) -> None:
    """Other VMCSs than in the ordinary run."""
    fuzzer = Fuzzer(Machine(sanitized, tmp_path, extra))

    @seed(SEED + 1000)
    @settings(max_examples=BATCHES, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(BATCH)
    def batches(batch: list[tuple[int, list[int]] | None]) -> None:
        fuzzer.run([entry for entry in batch if entry])

    batches()
    assert fuzzer.entries


def test_vmcs_changed_under_the_guest(sanitized: Path, tmp_path: Path) -> None:
    """VM exits with host state and controls that nobody has checked."""
    machine = Machine(sanitized, tmp_path, timeout=5)
    caps = machine.capabilities()
    operations = [changed_under_the_guest(caps, 1_000_000 + n) for n in range(100)]
    found = judge(operations, machine.run(operations))
    assert not found, "\n".join(found)
