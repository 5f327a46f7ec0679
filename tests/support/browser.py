# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Pages as the distribution's Chromium shows them, driven by Playwright's Python package, which fetches none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
# A phone and a desk.
WIDTHS = (400, 1280)
HEIGHT = 900
# Not a limit that a test is judged by: what has not come by then does not come.
TIMEOUT_MS = 60_000

# Text that an element holds and does not show, with the element's own words.
_CLIPPED = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const style = getComputedStyle(element), box = element.getBoundingClientRect();
  if (!["hidden", "clip"].includes(style.overflowX) || box.width < 2 || box.height < 2) return false;
  if (element.closest("svg") || style.visibility === "hidden") return false;
  return element.scrollWidth > element.clientWidth + 1;
}).map((element) => element.outerHTML.slice(0, 120))"""
# What reaches beyond the window without anything around it that scrolls.
_OUTSIDE = """() => [...document.querySelectorAll("main *, article *")].filter((element) => {
  const box = element.getBoundingClientRect(), style = getComputedStyle(element);
  if (box.width < 2 || style.visibility === "hidden" || style.position === "absolute") return false;
  for (let above = element.parentElement; above; above = above.parentElement) {
    if (["auto", "scroll", "hidden"].includes(getComputedStyle(above).overflowX)) return false;
  }
  return box.right > window.innerWidth + 1;
}).map((element) => element.outerHTML.slice(0, 120))"""


@dataclass
class Shown:
    """A page in the browser, with everything that went wrong in it and everything that it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def look(self, theme: Theme, width: int) -> None:
        """Change the theme that the reader's system asks for, and the window's width."""
        self.page.emulate_media(color_scheme=theme)
        self.page.set_viewport_size({"width": width, "height": HEIGHT})

    def sideways(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def clipped(self) -> list[str]:
        """Elements whose text is cut off."""
        found: list[str] = self.page.evaluate(_CLIPPED)
        return found

    def outside(self) -> list[str]:
        """Elements that reach beyond the window."""
        found: list[str] = self.page.evaluate(_OUTSIDE)
        return found

    def colours(self) -> tuple[str, str]:
        """Colour of text and of paper, as the browser computes them for the body."""
        style = "getComputedStyle(document.body)"
        return str(self.page.evaluate(f"{style}.color")), str(self.page.evaluate(f"{style}.backgroundColor"))


@contextmanager
def started() -> Iterator[Browser]:
    """A browser for as long as the block lasts; no other test may use an event loop meanwhile."""
    binary = shutil.which("chromium")
    if binary is None:
        pytest.fail("no chromium: 'python3 -m build_scripts test' installs it if it can")
    with sync_playwright() as playwright:
        # Chromium's own sandbox wants privileges that a container has not; the pages are our own.
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"], timeout=TIMEOUT_MS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shown(browser: Browser, file: Path, theme: Theme, width: int) -> Iterator[Shown]:
    """A file in a window of its own, with no network behind it."""
    options: dict[str, Any] = {"color_scheme": theme, "viewport": {"width": width, "height": HEIGHT}, "offline": True}
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    try:
        found = Shown(context.new_page())
        found.page.on("console", lambda said: found.errors.append(said.text) if said.type == "error" else None)
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(file.resolve().as_uri())
        yield found
    finally:
        context.close()
