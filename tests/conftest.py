# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What every test may use, and the marker that each folder's tests carry."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
# A deadline would make the speed of the machine part of a test.
settings.register_profile("stmlab", deadline=None)
settings.load_profile("stmlab")
# Also the order of a session: what is quick and small first.
FOLDER_MARKERS = ("unit", "host", "machine", "boot", "linux", "tutorial")


# Tests that run only if -m names them.
ON_DEMAND = ("sanitize",)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test by its folder, so that no file can forget it, and leaves out what nobody asked for."""
    for item in items:
        parts = item.path.relative_to(ROOT / "tests").parts
        if parts[0] in FOLDER_MARKERS:
            item.add_marker(parts[0])
    unwanted = [
        item
        for item in items
        for name in ON_DEMAND
        if item.get_closest_marker(name) and name not in config.option.markexpr
    ]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if item not in unwanted]
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    folder = path.relative_to(ROOT / "tests").parts[0]
    return FOLDER_MARKERS.index(folder) if folder in FOLDER_MARKERS else len(FOLDER_MARKERS)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The checkout under test."""
    return ROOT
