# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``test``: which call of pytest it makes."""

from __future__ import annotations

import pytest

from build_scripts.commands.test import MOST_WORKERS, pytest_command


def test_every_processor_has_a_worker() -> None:
    command = pytest_command(["-m", "unit"], 2)
    assert command[1:7] == ["-m", "pytest", "-n", "2", "--dist", "loadgroup"]
    assert command[-2:] == ["-m", "unit"]


def test_workers_are_few() -> None:
    assert pytest_command([], 64)[4] == str(MOST_WORKERS)


@pytest.mark.parametrize("arguments", [["-n0"], ["-n", "0"], ["--pdb"], ["-s"], ["--collect-only"], ["-p", "no:xdist"]])
def test_user_decides(arguments: list[str]) -> None:
    assert pytest_command(arguments, 2)[3:] == arguments


def test_one_processor_needs_no_workers() -> None:
    assert pytest_command(["-x"], 1)[3:] == ["-x"]
