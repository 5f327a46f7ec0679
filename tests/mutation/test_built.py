# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every mutant of STM, machine and firmware is noticed. Runs only if -m names it; docs/guide/mutation.rst."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from build_scripts.builds.qemu_build import find_machine
from tests.mutation.mutants import BUILT, Mutant
from tests.mutation.tree import Tree, mutants_of
from tests.mutation.workshop import workshop

pytestmark = pytest.mark.mutation

Trees = dict[str, Tree]


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    """The copy, once for each part."""
    machine = find_machine()
    with workshop() as made:
        found = {part: made.tree(part, machine) for part in BUILT}
        yield found
        for tree in found.values():
            tree.close()


@mutants_of("stm")
def test_stm(mutant: Mutant, trees: Trees) -> None:
    """The STM by itself, on bare metal."""
    trees["stm"].check(mutant)


@mutants_of("machine")
def test_machine(mutant: Mutant, trees: Trees) -> None:
    """The machine, by bare-metal images."""
    trees["machine"].check(mutant)


@mutants_of("firmware")
def test_firmware(mutant: Mutant, trees: Trees) -> None:
    """Firmware and executive monitor, by boots."""
    trees["firmware"].check(mutant)
