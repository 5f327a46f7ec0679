# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a boot recorded beyond its SMIs, as tables: the resources of SMI handlers, and the steps of attacks."""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.observation.event_log import event_words
from build_scripts.observation.events import Stream
from build_scripts.observation.resources import compare, declared, touched
from build_scripts.pictures.places import Places

# What a step of an attack answers with, in the order of the columns.
_STEP = ("label", "by", "op", "result", "value")


@dataclass(frozen=True)
class Listing:
    """What is a table on the page.

    Attributes:
        title: above it.
        headings: of the columns.
        rows: a text for each column.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def resources(stream: Stream, places: Places | None) -> Listing | None:
    """What the firmware declares, and what of it its handlers touched; None if nobody asked."""
    claims = declared(stream)
    if not claims:
        return None
    smram = range(0) if places is None else range(places.tseg[0].base, places.tseg[-1].end)
    touches = touched(stream, smram) if places is not None else []
    comparison = compare(claims, touches)
    rows = [
        (use.resource.name, str(use.places) if touches else "not traced", use.access or "-")
        for use in comparison.declared
    ]
    rows += [(f"{found.name}, not declared", "touched", found.access) for found in comparison.undeclared]
    return Listing("What the firmware's SMI handlers need", ("resource", "places touched", "how"), tuple(rows))


def attacks(stream: Stream) -> Listing | None:
    """Each step of each attack, in order; None without any."""
    rows: list[tuple[str, ...]] = []
    name = "?"
    for record in stream.records:
        if record.source != "APP":
            continue
        if record.event == "attack-begin":
            name = record.text("name")
        elif record.event == "attack-step":
            rows.append((name, *(record.text(key, "-") for key in _STEP)))
    return Listing("Attacks, step by step", ("attack", *_STEP), tuple(rows)) if rows else None


def stm_events(stream: Stream) -> Listing | None:
    """Entries of the STM's event log that were read; None without any."""
    rows = tuple((event_words(record),) for record in stream.of("EXEC", "event"))
    return Listing("The STM's event log", ("entry",), rows) if rows else None


def tables(stream: Stream, places: Places | None) -> list[Listing]:
    """All that the boot gives cause for.

    Raises:
        RecordError: a record lacks a number that it must have.
    """
    found = (resources(stream, places), attacks(stream), stm_events(stream))
    return [table for table in found if table is not None]
