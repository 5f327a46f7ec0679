# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Inspector: what an MSEG image file says about itself, and what is wrong with it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

from build_scripts.stm_image import layout
from build_scripts.stm_image.budget import budget
from build_scripts.stm_image.problems import find_problems

# Of what is read into memory: more than any MSEG has.
LARGEST = 64 * 1024**2


@dataclass(frozen=True)
class Report:
    """Contents of an image. Problems is empty for an image that the loader accepts and that holds nothing else.

    Attributes:
        revisions: save-state maps that the STM can compose, as many as the static image holds.
        lab: the header of ours; None for an image of another's.
        notes: what the loader takes and a reader should know.
    """

    file_size: int
    file_sha256: str
    hardware: layout.MsegHeader
    software: layout.SoftwareHeader
    revisions: tuple[int, ...]
    lab: layout.LabHeader | None
    gdt: tuple[int, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The report as JSON-compatible values."""

        def values(structure: layout.Structure) -> dict[str, int]:
            return {field.name: getattr(structure, field.name) for field in fields(structure)}

        return {
            "file_size": self.file_size,
            "file_sha256": self.file_sha256,
            "mseg_header": values(self.hardware),
            "software_header": values(self.software),
            "revisions": list(self.revisions),
            "lab_header": None if self.lab is None else values(self.lab),
            "gdt": list(self.gdt),
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """The report for a reader."""
        lines = [f"file      {self.file_size} bytes, SHA-256 {self.file_sha256}"]
        titles: list[tuple[str, layout.Structure]] = [
            ("MSEG header (read by the processor)", self.hardware),
            ("software header at 0x800 (read by the loader)", self.software),
        ]
        titles += [] if self.lab is None else [("lab header at 0xa00", self.lab)]
        for title, structure in titles:
            lines += ["", title]
            offsets = structure.offsets()
            for (name, _), field in zip(structure.FIELDS, fields(structure), strict=True):
                lines.append(f"  +{offsets[name]:#05x} {name:<28} {getattr(structure, field.name):#x}")
        lines += [f"         and {revision:#x}" for revision in self.revisions[1:]] if self.lab is None else []
        lines += ["", f"activation GDT at {self.hardware.gdtr_base_offset:#x}"]
        lines += [f"  {8 * index:#04x} {entry:#018x}" for index, entry in enumerate(self.gdt) if entry]
        lines += ["", "layout in MSEG"]
        for name, start, size in self.map():
            lines.append(f"  {start:#08x} - {start + size - 1:#08x}  {size // 1024:5d} KB  {name}")
        for processors in (1, 2, 4, 8, 16, 64):
            need = layout.needed_size(self.software, processors)
            lines.append(f"  needed for {processors:2d} processors: {need // 1024} KB")
        if self.lab is None:
            lines += ["", "no lab header: no data page is made"]
        lines += [""] + [f"NOTE: {note}" for note in self.notes]
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        if not self.problems:
            lines.append("no problem found")
        return "\n".join(lines)

    def map(self) -> list[tuple[str, int, int]]:
        """(name, offset in MSEG, bytes) of each part, for one processor."""
        static = self.software.static_image_size
        if self.lab is None:
            return [
                ("static image", 0, static),
                ("activation page tables", self.hardware.cr3_offset, layout.ACTIVATION_TABLES_SIZE),
            ]
        rows, start = [], 0
        for part in budget(self.software, self.lab):
            rows.append((part.name, start, part.size))
            start += part.size
        return rows


def _revisions(data: bytes, software: layout.SoftwareHeader) -> tuple[int, ...]:
    """The save-state revisions that are in the file and in the static image."""
    end = min(len(data), software.static_image_size)
    count = max(0, min(software.revision_count, (end - layout.HEADERS_SIZE) // 4))
    return struct.unpack_from(f"<{count}I", data, layout.HEADERS_SIZE)


def _gdt(data: bytes, hardware: layout.MsegHeader) -> tuple[int, ...]:
    """The descriptors of the activation GDT, as far as the file has them."""
    start = min(hardware.gdtr_base_offset, len(data))
    count = min((hardware.gdtr_limit & 0xFFFF) + 1, len(data) - start) // 8
    return struct.unpack_from(f"<{count}Q", data, start)


def _notes(revisions: tuple[int, ...], lab: layout.LabHeader | None) -> tuple[str, ...]:
    if lab is not None or not revisions or layout.SMM_REVISION_ID in revisions:
        return ()
    names = ", ".join(f"{revision:#x}" for revision in revisions)
    return (
        f"composes the save-state map {names}; this firmware's handlers read {layout.SMM_REVISION_ID:#x}, "
        "so they do not see the interrupted side's registers",
    )


def read_image(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ValueError: it is none: no ordinary file, or too large for any MSEG.
        OSError: it cannot be read.
    """
    if path.is_dir():
        raise ValueError("is a directory")
    if path.exists() and not path.is_file():
        raise ValueError("is no ordinary file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST // 1024**2} MB, so it fits no MSEG")
    return data


def inspect_image(data: bytes) -> Report:
    """Read an image file.

    Raises:
        ValueError: the file is shorter than the headers.
    """
    if len(data) < layout.HEADERS_SIZE:
        raise ValueError(f"{len(data)} bytes are less than the headers of an MSEG image")
    hardware = layout.MsegHeader.unpack(data)
    software = layout.read_software_header(data)
    lab = layout.read_lab_header(data)
    problems = [problem.sentence for problem in find_problems(data, layout.MSEG_SIZE)]
    found = _revisions(data, software)
    if lab is not None and not problems:
        if layout.SMM_REVISION_ID not in found:
            problems.append("software header: unknown save-state revision")
        if software.static_image_size < len(data):
            problems.append(f"{len(data) - software.static_image_size} bytes follow the image and belong to nothing")
    return Report(
        file_size=len(data),
        file_sha256=sha256(data).hexdigest(),
        hardware=hardware,
        software=software,
        revisions=found,
        lab=lab,
        gdt=_gdt(data, hardware),
        problems=tuple(problems),
        notes=_notes(found, lab),
    )
