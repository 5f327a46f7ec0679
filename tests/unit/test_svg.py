# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The timeline of the documentation, held against the stored runs that it is drawn from."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from build_scripts.observation.events import Mode, Transition, read_stream
from build_scripts.pictures import svg
from build_scripts.pictures.timeline import MODES

from .streams import Logs

NAMESPACE = "{http://www.w3.org/2000/svg}"
STORED = sorted(path.parent.name for path in (Path(__file__).resolve().parents[2] / "docs/runs").glob("*/machine.log"))


def stored(checkout: Path, name: str) -> list[Transition]:
    stream = read_stream(checkout / "docs/runs" / name)
    assert stream.errors == ()
    return stream.transitions


@pytest.mark.parametrize("name", STORED)
def test_bars_are_to_scale(checkout: Path, name: str) -> None:
    """Each stretch has its bar in its mode's colour, as long as its share of the whole; the steps have its number."""
    transitions = stored(checkout, name)
    picture = ET.fromstring(svg.timeline(transitions, name))
    bars = svg.bars_of(transitions)
    rectangles = picture.findall(f"{NAMESPACE}rect")
    assert [rectangle.get("fill") for rectangle in rectangles] == [MODES[bar.into.target][1] for bar in bars]
    whole = svg.WIDTH - 210
    for bar, rectangle in zip(bars, rectangles, strict=True):
        width = float(rectangle.get("width") or 0)
        assert abs(width - max(2, whole * bar.length / bars[-1].end)) < 0.1
    assert all(step.endswith(f", {bar.length:,}") for bar, step in zip(bars, svg.steps(transitions), strict=False))
    assert len(svg.steps(transitions)) == len(transitions)
    assert picture.findtext(f"{NAMESPACE}title") == name


@pytest.mark.parametrize("name", STORED)
def test_no_text_lies_over_another(checkout: Path, name: str) -> None:
    """In each line of the picture, with the width of digits."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for text in ET.fromstring(svg.timeline(stored(checkout, name), name)).findall(f"{NAMESPACE}text"):
        width = 7 * len(text.text or "")
        x = float(text.get("x") or 0) - {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor") or ""]
        lines.setdefault(text.get("y") or "", []).append((x, x + width))
    for found in lines.values():
        found.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(found)), found
        assert found[-1][1] <= svg.WIDTH


def test_each_transition_has_its_number() -> None:
    assert svg.labels([0, 5, 29, 100, 131, 140]) == [(0, "1\N{EN DASH}3"), (100, "4"), (131, "5\N{EN DASH}6")]


def test_one_smi_is_the_way_through_the_stm(checkout: Path) -> None:
    transitions = stored(checkout, "one-smi")
    assert [bar.into.target for bar in svg.bars_of(transitions)] == [Mode.STM, Mode.HANDLER, Mode.STM, Mode.GUEST]
    assert [svg.word_of(event) for event in transitions[:4]] == [
        "SMM VM exit, reason 5",
        "VM entry",
        "RSM VM exit",
        "VM entry that returns from SMM",
    ]


def test_what_makes_no_timeline(tmp_path: Path) -> None:
    logs = Logs(tmp_path / "run")
    logs.default_smi()
    logs.default_smi(cpu=1)
    transitions = read_stream(logs.write()).transitions
    for some in (transitions, transitions[:1], []):
        with pytest.raises(svg.TimelineError):
            svg.timeline(some, "no")


def test_no_word_of_a_title_becomes_markup(checkout: Path) -> None:
    assert "<script>" not in svg.timeline(stored(checkout, "one-smi"), "<script>")
