# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Screens of the documentation: what they say is what the lab prints of the stored run, and nothing is fetched."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from statistics import median

import pytest
from rich.console import Console

from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.events import Stream, read_stream
from build_scripts.observation.report import build_report
from build_scripts.pictures import screen
from build_scripts.pictures.screen import Part

from .streams import Logs

TITLE = "python3 -m build_scripts run"
TEXT = "{http://www.w3.org/2000/svg}text"
# Width of a character: rich draws at a height of 20.
CHARACTER = 12.2
DIRECTIVE = re.compile(r"^\.\. screen:: (\S+)\n((?:   :\w+: .*\n)*)", re.MULTILINE)


@pytest.fixture(scope="module")
def stream() -> Stream:
    found = read_stream(Path(__file__).resolve().parents[2] / "docs/runs/first-light")
    assert found.errors == ()
    return found


def shown(picture: str) -> list[str]:
    """The lines of a picture, from top to bottom, each piece in the column where it is drawn."""
    lines: dict[float, str] = {}
    for text in ET.fromstring(picture).iter(TEXT):
        if (text.get("class") or "").endswith("-title"):
            continue
        words = (text.text or "").replace("\N{NO-BREAK SPACE}", " ")
        x, y = float(text.get("x") or 0), float(text.get("y") or 0)
        before = lines.get(y, "").ljust(round(x / CHARACTER))
        assert len(before) == round(x / CHARACTER), "pieces lie one upon the other"
        assert abs(float(text.get("textLength") or 0) - len(words) * CHARACTER) < 1, "they are as wide as they take"
        lines[y] = before + words
    return [lines[y].rstrip() for y in sorted(lines)]


def printed(stream: Stream, part: Part) -> list[str]:
    """What `run` prints, on a terminal of 80 columns."""
    out = Console(file=io.StringIO(), width=80, highlight=False)
    report = build_report(stream, Configuration.DUAL_MONITOR)
    if part is Part.TABLE:
        out.print(show.closing_table(report))
    else:
        for line in show.story(report, stream):
            show.tell(out, line)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def without_empty(lines: list[str]) -> list[str]:
    return [line for line in lines if line]


@pytest.mark.parametrize("part", list(Part))
def test_it_is_what_run_prints(stream: Stream, part: Part) -> None:
    lines = shown(screen.screen(stream, part, TITLE))
    assert without_empty(lines) == without_empty(printed(stream, part))
    assert max(map(len, lines)) <= screen.COLUMNS


def test_the_table_counts_what_was_recorded(stream: Stream) -> None:
    smis = [smi for cause, smi in build_report(stream, Configuration.DUAL_MONITOR).smis if cause == "port-b2"]
    counts = [smi.instructions.stm for smi in smis if smi.dual_monitor and smi.instructions is not None]
    rows = [line.split() for line in shown(screen.screen(stream, Part.TABLE, TITLE))]
    (row,) = [row for row in rows if row[:2] == ["dual-monitor", "port-b2"]]
    assert row[2:6] == [str(len(counts)), "4", "0", f"{median(counts):,.0f}"] and len(counts) > 1


def test_a_part_of_the_story(stream: Stream) -> None:
    lines = shown(screen.screen(stream, Part.STORY, TITLE, first="shell: SmiTool.efi demo", last="SMI 1"))
    assert lines[0] == "shell: SmiTool.efi demo"
    assert [line.split(":")[0] for line in lines if line.startswith("SMI")] == ["SMI 0 (port-b2)", "SMI 1 (port-b2)"]


@pytest.mark.parametrize(
    ("part", "first", "last", "said"),
    [
        (Part.STORY, "SMI 99", "", "no line of the story begins with 'SMI 99'"),
        (Part.STORY, "SMI 3 (", "SMI 2 (", "behind 'SMI 3 (' begins with 'SMI 2 ('"),
    ],
)
def test_what_is_not_there(stream: Stream, part: Part, first: str, last: str, said: str) -> None:
    with pytest.raises(screen.ScreenError, match=re.escape(said)):
        screen.screen(stream, part, TITLE, first=first, last=last)


def test_no_table_and_no_story(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.default_smi()
    empty = read_stream(logs.write())
    for part in Part:
        with pytest.raises(screen.ScreenError):
            screen.screen(empty, part, TITLE)


@pytest.mark.parametrize("part", list(Part))
def test_the_same_anywhere(stream: Stream, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever terminal, colours and width the docs' build has; and no font and no place but its own."""
    pictures = set()
    for variables in ({}, {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "40"}, {"FORCE_COLOR": "1", "TERM": "xterm"}):
        for name in ("NO_COLOR", "TERM", "COLUMNS", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        pictures.add(screen.screen(stream, part, TITLE))
    (picture,) = pictures
    assert "@font-face" not in picture and "@import" not in picture and "href" not in picture
    assert re.findall(r"\w+://[^\"' )]+", picture) == ["http://www.w3.org/2000/svg"]
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", picture))


def test_no_word_of_a_title_becomes_markup(stream: Stream) -> None:
    picture = screen.screen(stream, Part.TABLE, "<script>{x}</script>")
    assert "<script>" not in picture
    title = ET.fromstring(picture).findtext("{http://www.w3.org/2000/svg}title")
    assert title == "<script>{x}</script>"


def test_pages_show_their_screens(stream: Stream, checkout: Path) -> None:
    """Every directive of the docs shows something of its run, the chapters of the demonstration have theirs."""
    found: dict[str, list[tuple[Part, list[str]]]] = {}
    for path in sorted((checkout / "docs").rglob("*.rst")):
        for name, options in DIRECTIVE.findall(path.read_text(encoding="utf-8")):
            given = dict(re.findall(r"^   :(\w+): (.*)$", options, re.MULTILINE))
            part = Part(given.pop("part", "story"))
            lines = shown(screen.screen(read_stream(checkout / "docs/runs" / name), part, TITLE, **given))
            found.setdefault(path.stem, []).append((part, lines))
    assert {"first-light", "one-smi"} <= set(found)
    for page in ("first-light", "one-smi"):
        assert {part for part, _lines in found[page]} == set(Part)
    (story,) = [lines for part, lines in found["first-light"] if part is Part.STORY]
    assert story[0].startswith("firmware: state=enabled") and story[-1].startswith("executive monitor: VMXOFF")
