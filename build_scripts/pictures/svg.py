# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The timeline of a small run as SVG, for the documentation: a lane for each mode, time or instructions to the right.

The colours of text and lines are those of the page around it (``currentColor``), so that it fits either theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from build_scripts.observation.events import NO_ICOUNT, Kind, Mode, Transition
from build_scripts.observation.names import EXIT_REASONS
from build_scripts.pictures.timeline import MODES

WIDTH = 720
_LEFT = 190
_RIGHT = 20
_LANE = 44
_BAR = 20
_TOP = 40
_BOTTOM = 34
_FONT = 12
# A stretch shorter than this cannot be seen, and one narrower than its number cannot hold it.
_LEAST_BAR = 2
_CHARACTER = 7.2
_GAP = 6
# Transitions closer than this, in pixels, share a number.
_CLOSE = 30


class TimelineError(ValueError):
    """What was recorded makes no timeline."""


@dataclass(frozen=True)
class Bar:
    """A stretch in one mode.

    Attributes:
        begin: instructions executed since the first transition, or ticks if nobody counted.
        end: likewise.
        into: the transition that began it.
    """

    begin: int
    end: int
    into: Transition

    @property
    def length(self) -> int:
        """In instructions, or ticks."""
        return self.end - self.begin


def bars_of(transitions: Sequence[Transition]) -> list[Bar]:
    """The stretches of a run on one processor.

    Raises:
        TimelineError: there are fewer than two transitions, or several processors.
    """
    if len(transitions) < 2 or len({event.cpu for event in transitions}) != 1:
        raise TimelineError("a timeline needs two or more transitions, all of one processor")
    counted = _counted(transitions)
    places = [event.icount if counted else event.t for event in transitions]
    return [
        Bar(begin - places[0], end - places[0], event)
        for event, begin, end in zip(transitions, places, places[1:], strict=False)
    ]


def word_of(event: Transition) -> str:
    """A transition in a few words."""
    match event.kind:
        case Kind.SMM_EXIT:
            return f"SMM VM exit, reason {event.basic_reason}"
        case Kind.HANDLER_EXIT | Kind.EXIT:
            return EXIT_REASONS.get(event.basic_reason, f"reason {event.basic_reason}") + " VM exit"
        case Kind.HANDLER_ENTRY | Kind.ENTRY:
            return "VM entry"
        case Kind.SMM_RETURN:
            return "VM entry that returns from SMM"
        case Kind.SMM_DEACTIVATE:
            return "VM entry that deactivates"
        case Kind.ACTIVATE:
            return "VMCALL that activates"
    return {"vmxon": "VMXON", "vmxoff": "VMXOFF", "smi": "SMI", "rsm": "RSM"}.get(event.kind.value, event.kind.value)


def steps(transitions: Sequence[Transition]) -> list[str]:
    """Each transition in words, with who has the processor behind it and for how long, in the picture's unit.

    Raises:
        TimelineError: as `bars_of` does.
    """
    found = [f"{word_of(bar.into)}: {_mode(bar.into.target)}, {bar.length:,}" for bar in bars_of(transitions)]
    return [*found, word_of(transitions[-1])]


def _counted(transitions: Sequence[Transition]) -> bool:
    return all(event.icount != NO_ICOUNT for event in transitions)


def _mode(mode: Mode) -> str:
    return MODES[mode][0].split(" (")[0]


def labels(places: Sequence[float]) -> list[tuple[float, str]]:
    """Numbers of transitions over the picture, those too close to each other as one: 3-6.

    Args:
        places: from the left, in order, in pixels.
    """
    groups: list[list[int]] = []
    for number, place in enumerate(places, 1):
        if groups and place - places[groups[-1][0] - 1] < _CLOSE:
            groups[-1].append(number)
        else:
            groups.append([number])
    return [
        (places[group[0] - 1], str(group[0]) if len(group) == 1 else f"{group[0]}\N{EN DASH}{group[-1]}")
        for group in groups
    ]


def _lengths(bars: Sequence[Bar], scale: float) -> list[tuple[Mode, float, str]]:
    """Lane, place and text of the lengths that there is room for, the longest first."""
    found: list[tuple[Mode, float, str]] = []
    for bar in sorted(bars, key=lambda one: -one.length):
        words = f"{bar.length:,}"
        x = min(_LEFT + bar.begin * scale, WIDTH - _RIGHT - len(words) * _CHARACTER)
        beside = [(other, len(text)) for mode, other, text in found if mode is bar.into.target]
        if all(abs(x - other) >= (size if other < x else len(words)) * _CHARACTER + _GAP for other, size in beside):
            found.append((bar.into.target, x, words))
    return found


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def timeline(transitions: Sequence[Transition], title: str) -> str:
    """The picture; transitions are numbered, and a list below it, of the caller, names them (`steps`).

    A bar has its length below it where there is room.

    Args:
        transitions: of one processor, in order.
        title: for readers who do not see it.
    Raises:
        TimelineError: as `bars_of` does.
    """
    bars = bars_of(transitions)
    counted = _counted(transitions)
    modes = [mode for mode in MODES if any(bar.into.target is mode for bar in bars)]
    lanes = {mode: _TOP + _LANE * number for number, mode in enumerate(modes)}
    end = max(bars[-1].end, 1)
    scale = (WIDTH - _LEFT - _RIGHT) / end
    height = _TOP + _LANE * len(modes) + _BOTTOM
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-size="{_FONT}" font-family="sans-serif" fill="currentColor">',
        f"<title>{escape(title)}</title>",
    ]
    for mode, y in lanes.items():
        parts.append(_text(0, y + _BAR - 5, _mode(mode)))
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y + _BAR}" y2="{y + _BAR}" stroke="currentColor" '
            'stroke-opacity="0.25"/>'
        )
    for bar in bars:
        x, y, width = _LEFT + bar.begin * scale, lanes[bar.into.target], max(_LEAST_BAR, bar.length * scale)
        colour = MODES[bar.into.target][1]
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 12}" y2="{_TOP + _LANE * len(modes) - 12}" '
            'stroke="currentColor" stroke-opacity="0.4" stroke-dasharray="2 3"/>'
        )
    parts += [_text(x, lanes[mode] + _BAR + 14, words) for mode, x, words in _lengths(bars, scale)]
    # The last transition has no bar: it ends the picture, and has its number there.
    for x, words in labels([_LEFT + bar.begin * scale for bar in bars] + [_LEFT + end * scale]):
        parts.append(_text(min(x, WIDTH - _CHARACTER * len(words) / 2), _TOP - 18, words, "middle"))
    unit = "instructions" if counted else "ticks of the time-stamp counter"
    parts.append(_text(_LEFT, height - 8, f"{unit}: 0"))
    parts.append(_text(WIDTH - _RIGHT, height - 8, f"{end:,}", "end"))
    return "".join([*parts, "</svg>"])
