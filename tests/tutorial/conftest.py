# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One browser for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The distribution's Chromium, until the last test of the file: other files have event loops of their own."""
    with browser.started() as found:
        yield found
