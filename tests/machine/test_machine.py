# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every image of the table, run on the extended QEMU; each CHECK must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.conformance.image_table import TABLE, Image
from tests.support.kept_images import outcome_of

pytestmark = pytest.mark.machine


@pytest.mark.parametrize("image", TABLE, ids=lambda image: image.name)
def test_image(image: Image, qemu: Path, session_folder: Path) -> None:
    """Builds and runs one image; a failing check names its rule."""
    outcome = outcome_of(image, qemu, session_folder)
    problems = outcome.problems(image.ends_in_shutdown, image.deviations)
    assert not problems, f"{image.name}:\n" + "\n".join(problems)
    assert len(outcome.checks) >= image.at_least
