# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The report as a browser shows it: what is in it, both themes, a phone's width and a desk's, no word of complaint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from build_scripts import cli
from build_scripts.observation.boots import keep_together
from tests.support.browser import THEMES, WIDTHS, Shown, Theme, shown
from tests.unit.streams import good_run, run_with_image

# Where a bar is that one can hit with a mouse.
WIDEST = """(bars) => {
  const boxes = bars.map((bar) => bar.getBoundingClientRect());
  const box = boxes.reduce((one, other) => other.width > one.width ? other : one);
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""


# Whether a picture's axes are labelled in a colour, at its window's width.
DRAWN_IN = """([place, ink]) => {
  const text = document.querySelector(`${place} .xtick text`), plot = document.querySelector(place);
  return text && text.style.fill === ink && plot.querySelector(".main-svg").clientWidth === plot.clientWidth;
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with two boots, the first of which knows where everything was in memory."""
    folder = tmp_path_factory.mktemp("report")
    boots = [run_with_image(folder / "first"), good_run(folder / "second").write()]
    keep_together(boots)
    target = folder / "report.html"
    assert cli.main(["report", str(boots[0]), "--output", str(target)]) == 0
    return target


@pytest.fixture(scope="module")
def page(chromium: Browser, file: Path) -> Iterator[Shown]:
    """The report in one window, which each test finds as the last one left it."""
    with shown(chromium, file, "light", WIDTHS[-1]) as found:
        yield found


def drawn(page: Shown, boot: int, picture: str) -> str:
    """Wait for a picture, which is drawn when it comes into sight; returns what selects it."""
    place = f'.plot[data-boot="{boot}"][data-picture="{picture}"]'
    page.page.locator(place).scroll_into_view_if_needed()
    page.page.wait_for_selector(f'{place}[data-ready="yes"]')
    return place


def test_a_click_tells_of_the_transition(page: Shown) -> None:
    place = drawn(page, 0, "timeline")
    told = page.page.locator(f"{place} + .transition")
    assert told.inner_text() == "No transition is chosen."
    bars = page.page.locator(f"{place} .point path")
    bars.first.wait_for()
    x, y = bars.evaluate_all(WIDEST)
    page.page.mouse.move(x, y)
    page.page.mouse.click(x, y)
    told.locator("dt", has_text="guest RIP").wait_for()
    assert told.locator("dd").first.inner_text() == "0"


def test_the_table_sorts(page: Shown) -> None:
    """By the keyboard, too: the headings are buttons."""
    table = page.page.locator("table.smis").first
    heads = table.locator("th")
    heads.nth(0).locator("button").focus()
    for order in ("ascending", "descending"):
        page.page.keyboard.press("Enter")
        assert heads.nth(0).get_attribute("aria-sort") == order
    numbers = [int(text) for text in table.locator("tbody tr td:first-child").all_inner_texts()]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) > 1


def test_memory_and_boots_can_be_read_without_the_pictures(page: Shown) -> None:
    row = page.page.locator("table.memory tr", has_text="text of the STM")
    assert row.locator("td.access").all_inner_texts() == ["---", "---", "r-x", "---"]
    assert page.page.locator("nav a").all_inner_texts() == ["first", "second"]
    assert page.page.locator("section h2").count() == 2
    assert page.page.locator(".plot:not([role=img][aria-labelledby])").count() == 0


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_theme_and_width(page: Shown, theme: Theme, width: int) -> None:
    """Every picture is drawn in the theme's colours, also if it changes meanwhile; nothing is cut off."""
    page.look(theme, width)
    ink, paper = page.colours()
    assert (ink, paper) == {
        "light": ("rgb(27, 31, 36)", "rgb(255, 255, 255)"),
        "dark": ("rgb(230, 233, 237)", "rgb(20, 23, 27)"),
    }[theme]
    for boot, picture in ((0, "timeline"), (0, "memory"), (1, "timeline")):
        place = drawn(page, boot, picture)
        page.page.wait_for_function(DRAWN_IN, arg=[place, ink])
        inside = page.page.locator(f"{place} .main-svg").first.bounding_box()
        assert inside is not None and 200 < inside["width"] <= width
    assert page.sideways() == 0
    assert page.clipped() == [] and page.outside() == []


def test_nothing_is_fetched_and_nothing_complains(page: Shown, file: Path) -> None:
    assert page.requests == [file.resolve().as_uri()]
    assert page.errors == []
