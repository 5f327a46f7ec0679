# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the bytes of MSEG are for that an image of ours needs: a table computed from the layout."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum

from build_scripts.stm_image import layout


class Per(StrEnum):
    """How often MSEG holds a part."""

    ONCE = "once"
    PROCESSOR = "each processor"


@dataclass(frozen=True)
class Part:
    """A part of MSEG; size in bytes."""

    name: str
    size: int
    per: Per = Per.ONCE


def _dynamic() -> list[Part]:
    """What all processors share, in the order of memory."""
    bounds = [*layout.DYNAMIC.values(), layout.DYNAMIC_SHARED_SIZE]
    sizes = [end - start for start, end in itertools.pairwise(bounds)]
    return [Part(layout.DYNAMIC_NAMES[name], size) for name, size in zip(layout.DYNAMIC, sizes, strict=True)]


def budget(software: layout.SoftwareHeader, lab: layout.LabHeader) -> tuple[Part, ...]:
    """The parts of an image of ours in the order of memory, those of one processor each once."""
    parts = (
        Part("headers and activation GDT, read-only", layout.IMAGE_OFFSET),
        Part("text, executable", lab.text_size),
        Part("read-only data", software.static_image_size - lab.text_offset - lab.text_size),
        Part(
            "activation tables, which are the STM's own; in three, later, the draft of the profile, the "
            "firmware's list, and a spare block",
            layout.ACTIVATION_TABLES_SIZE,
        ),
        Part("loader data", layout.LOADER_DATA_SIZE),
        *_dynamic(),
        Part("block of a processor: two VMCSs, stack, state", layout.BLOCK_SIZE, Per.PROCESSOR),
        Part("page tables of the STM, two, and EPT of the SMI handler", layout.RESERVE_PAGES * layout.PAGE),
    )
    return tuple(part for part in parts if part.size)


def total(parts: tuple[Part, ...], processors: int) -> int:
    """Bytes of MSEG for a number of processors."""
    return sum(part.size * (processors if part.per is Per.PROCESSOR else 1) for part in parts)
