# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every image of the table, run on the extended QEMU; each CHECK must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import TABLE, Image

pytestmark = pytest.mark.machine


@pytest.mark.parametrize("image", TABLE, ids=lambda image: image.name)
def test_image(image: Image, qemu: Path, tmp_path: Path) -> None:
    """Builds and runs one image; a failing check names its rule."""
    rom = build_image(image.sources, image.defines)
    outcome = run_image(qemu, rom.rom, tmp_path, image.cpu, image.extra)
    problems = outcome.problems(image.ends_in_shutdown, image.deviations)
    assert not problems, f"{image.name}:\n" + "\n".join(problems)
    assert len(outcome.checks) >= image.at_least
