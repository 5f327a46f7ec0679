# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a plain SMI costs the STM: exact counts, by the benchmark itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.benchmarks import stm
from build_scripts.observation.report import PLAIN_TRANSITIONS

# More was once needed than now; it must not come back.
MOST_INSTRUCTIONS = 700
MOST_ACCESSES = 110


@pytest.fixture(scope="module")
def rows(qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, int]]:
    """Nothing protected, and as many ranges as the page shows."""
    folder = tmp_path_factory.mktemp("cost")
    return [stm.smi(qemu, mseg, ranges, folder) for ranges in (0, stm.RANGES[-1])]


def test_plain_smi(rows: list[dict[str, int]]) -> None:
    for row in rows:
        assert row["transitions"] == PLAIN_TRANSITIONS
        assert row["instructions"] <= MOST_INSTRUCTIONS
        assert 20 < row["vmreads"] + row["vmwrites"] <= MOST_ACCESSES


def test_protection_costs_nothing_in_an_smi(rows: list[dict[str, int]]) -> None:
    nothing, many = ({**row, "protected": 0} for row in rows)
    assert nothing == many
    assert rows[1]["protected"] == 256
