# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From transitions to stretches of time: in which mode each processor was, and which transition ended it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from build_scripts.observation.events import Mode, Transition


@dataclass(frozen=True)
class Span:
    """One processor in one mode.

    Attributes:
        begin: time-stamp counter at the transition into the mode.
        end: at the next transition of this processor.
        into: index of the transition that began it, in the run's order.
    """

    cpu: int
    mode: Mode
    begin: int
    end: int
    into: int


def spans_of(transitions: Iterable[Transition]) -> list[Span]:
    """The stretches between transitions, in the order they ended; what follows a processor's last one is unknown.

    A stretch whose clock ran backwards has length 0. The machine's goes on across a sleep; another one's may not.
    """
    last: dict[int, tuple[int, Transition]] = {}
    found = []
    for index, event in enumerate(transitions):
        if event.cpu in last:
            into, before = last[event.cpu]
            found.append(Span(event.cpu, before.target, before.t, max(before.t, event.t), into))
        last[event.cpu] = index, event
    return found
