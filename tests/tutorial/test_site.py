# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The site as it is built: no warning, no link into nothing, no picture without its records, nothing cut off."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from playwright.sync_api import Browser

from build_scripts import __version__
from tests.support.browser import THEMES, WIDTHS, Shown, Theme, shown

ROOT = Path(__file__).resolve().parents[2]
# The front page, chapters with screens, pictures, code and tables, the longest tables, and the longest words.
LOOKED_AT = (
    "index",
    "tutorial/first-light",
    "tutorial/one-smi",
    "tutorial/plain-vmm",
    "reference/stm-api",
    "reference/attacks",
)
# What a reader who has never seen the site types, and pages that have to be among the answers.
SEARCHED = {"standby": "tutorial/standby", "S3": "tutorial/standby", "attack": "reference/attacks"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a network and without a warning, which a missing reference would be too."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-b", "html", "docs", str(target)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return target


class Links(HTMLParser):
    """What a page refers to, and the places in it that others may refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.places: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            elif name in ("href", "src") and value is not None:
                self.references.append(value)


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    looked_at, broken, fetched = 0, [], []
    for path, page in pages.items():
        for reference in page.references:
            if re.match(r"[a-z]+:", reference):
                continue
            looked_at += 1
            file, place = urldefrag(unquote(reference))
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.is_file() or (target in pages and place not in pages[target].places):
                broken.append(f"{path.relative_to(site)}: {reference}")
        text = path.read_text(encoding="utf-8")
        fetched += re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?:[^"]+"', text)
    assert broken == [] and looked_at > 1000
    assert fetched == []


def test_the_version_is_shown(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert f"STM Lab {__version__}" in path.read_text(encoding="utf-8"), path


def test_the_python_reference_is_folded_and_whole(site: Path) -> None:
    """A dropdown for each module of the areas that the page names, closed, with its functions in it."""
    text = (site / "reference/api.html").read_text(encoding="utf-8")
    page = (ROOT / "docs/reference/api.rst").read_text(encoding="utf-8")
    areas = re.findall(r"^\.\. lab-api:: (\w+)$", page, re.MULTILINE)
    left_out = set(re.findall(r"``(\w+)``", page)) - {"build_scripts"}
    packages = {path.parent.name for path in (ROOT / "build_scripts").glob("*/__init__.py")}
    assert packages <= {*areas, *left_out} and not left_out & {*areas}
    modules = [
        f"build_scripts.{'.'.join(path.relative_to(ROOT / 'build_scripts').with_suffix('').parts)}"
        for area in areas
        for path in (*(ROOT / "build_scripts").glob(f"{area}/[!_]*.py"), *(ROOT / "build_scripts").glob(f"{area}.py"))
    ]
    assert len(modules) > 50
    assert [name for name in modules if f'id="module-{name}"' not in text] == []
    details = re.findall(r"<details[^>]*>", text)
    assert len(details) >= len(modules) and not any("open" in tag for tag in details)
    assert 'id="build_scripts.observation.events.read_stream"' in text


def test_only_python_is_coloured_as_python(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert 'class="highlight-default' not in text and 'class="highlight-python3' not in text, path


def test_pictures_are_drawn_from_stored_runs(site: Path) -> None:
    used = set()
    for path in (ROOT / "docs").rglob("*.rst"):
        for kind in ("timeline", "screen"):
            names = re.findall(rf"^ *\.\. {kind}:: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            used |= set(names)
            if names:
                made = site / path.relative_to(ROOT / "docs").with_suffix(".html")
                assert made.read_text(encoding="utf-8").count(f'<svg class="{kind}"') == len(names)
    assert used == {path.name for path in (ROOT / "docs/runs").iterdir()}


@pytest.fixture(scope="module")
def window(chromium: Browser, site: Path) -> Iterator[Shown]:
    with shown(chromium, site / "index.html", "light", WIDTHS[-1]) as found:
        yield found


# The Python reference is long: of its form the others have everything.
@pytest.mark.parametrize("name", [*LOOKED_AT, pytest.param("reference/api", marks=pytest.mark.long)])
def test_nothing_is_cut_off(window: Shown, site: Path, name: str) -> None:
    window.page.goto((site / f"{name}.html").as_uri())
    window.page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    papers: dict[Theme, str] = {}
    for theme in THEMES:
        for width in WIDTHS:
            window.look(theme, width)
            assert window.sideways() == 0, (theme, width)
            assert window.clipped() == [] and window.outside() == [], (theme, width)
        papers[theme] = window.colours()[1]
    assert papers["light"] != papers["dark"]
    assert window.errors == []
    assert [url for url in window.requests if not url.startswith("file:")] == []


@pytest.mark.parametrize("words", SEARCHED)
def test_search_finds(window: Shown, site: Path, words: str) -> None:
    window.page.goto(f"{(site / 'search.html').as_uri()}?q={words}")
    window.page.locator(f'#search-results li a[href*="{SEARCHED[words]}.html"]').first.wait_for()
