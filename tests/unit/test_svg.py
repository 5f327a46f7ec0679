# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The timeline of the documentation, held against the stored runs that it is drawn from."""

from __future__ import annotations

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
    """Each stretch has its bar in its mode's colour, as long as its share of the whole, with its number."""
    transitions = stored(checkout, name)
    picture = ET.fromstring(svg.timeline(transitions, name))
    bars = svg.bars_of(transitions)
    rectangles = picture.findall(f"{NAMESPACE}rect")
    assert [rectangle.get("fill") for rectangle in rectangles] == [MODES[bar.into.target][1] for bar in bars]
    whole = svg.WIDTH - 210
    for bar, rectangle in zip(bars, rectangles, strict=True):
        width = float(rectangle.get("width") or 0)
        assert abs(width - max(2, whole * bar.length / bars[-1].end)) < 0.1
    words = [text.text for text in picture.findall(f"{NAMESPACE}text")]
    assert all(f"{bar.length:,}" in words for bar in bars)
    assert picture.findtext(f"{NAMESPACE}title") == name


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
