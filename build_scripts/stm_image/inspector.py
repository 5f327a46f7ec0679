# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Inspector: what an MSEG image file says about itself, and what is wrong with it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

from build_scripts.stm_image import layout

# Of what is read into memory. MSEG has to fit TSEG, and the lab's has 16 MB.
LARGEST = 64 * 1024**2


@dataclass(frozen=True)
class Report:
    """Contents of an image. Problems is empty for an image that the loader accepts and that holds nothing else."""

    file_size: int
    file_sha256: str
    hardware: layout.MsegHeader
    software: layout.SoftwareHeader
    lab: layout.LabHeader
    gdt: tuple[int, ...]
    relocations: tuple[int, ...]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The report as JSON-compatible values."""

        def values(structure: layout.Structure) -> dict[str, int]:
            return {field.name: getattr(structure, field.name) for field in fields(structure)}

        return {
            "file_size": self.file_size,
            "file_sha256": self.file_sha256,
            "mseg_header": values(self.hardware),
            "software_header": values(self.software),
            "lab_header": values(self.lab),
            "gdt": list(self.gdt),
            "relocations": list(self.relocations),
            "problems": list(self.problems),
        }

    def text(self) -> str:
        """The report for a reader."""
        lines = [f"file      {self.file_size} bytes, SHA-256 {self.file_sha256}"]
        titles = (
            ("MSEG header (read by the processor)", self.hardware),
            ("software header at 0x800 (read by the loader)", self.software),
            ("lab header at 0xa00", self.lab),
        )
        for title, structure in titles:
            lines += ["", title]
            offsets = structure.offsets()
            for (name, _), field in zip(structure.FIELDS, fields(structure), strict=True):
                lines.append(f"  +{offsets[name]:#05x} {name:<28} {getattr(structure, field.name):#x}")
        lines += ["", f"activation GDT at {self.hardware.gdtr_base_offset:#x}"]
        lines += [f"  {8 * index:#04x} {entry:#018x}" for index, entry in enumerate(self.gdt) if entry]
        lines += ["", "layout in MSEG"]
        for name, start, size in self.map():
            lines.append(f"  {start:#08x} - {start + size - 1:#08x}  {size // 1024:5d} KB  {name}")
        for processors in (1, 2, 4, 8, 16):
            need = layout.needed_size(self.software, processors)
            lines.append(f"  needed for {processors:2d} processors: {need // 1024} KB")
        lines += ["", f"relocations: {len(self.relocations)}"]
        lines += [f"  image+{offset:#x}" for offset in self.relocations]
        lines += [""] + [f"PROBLEM: {problem}" for problem in self.problems]
        if not self.problems:
            lines.append("no problem found")
        return "\n".join(lines)

    def map(self) -> list[tuple[str, int, int]]:
        """(name, offset in MSEG, bytes) of each part, for one processor."""
        static = self.software.static_image_size
        dynamic = static + layout.ACTIVATION_TABLES_SIZE + layout.LOADER_DATA_SIZE
        return [
            ("headers and activation GDT, read-only", 0, layout.IMAGE_OFFSET),
            ("text, executable", self.lab.text_offset, self.lab.text_size),
            ("pointer tables, read-only", self.lab.rodata_offset, self.lab.rodata_size),
            ("activation page tables", static, layout.ACTIVATION_TABLES_SIZE),
            ("loader data", static + layout.ACTIVATION_TABLES_SIZE, layout.LOADER_DATA_SIZE),
            ("shared dynamic area", dynamic, layout.DYNAMIC_SHARED_SIZE),
            ("processor block", dynamic + layout.DYNAMIC_SHARED_SIZE, layout.PER_PROCESSOR_SIZE),
            (
                "spare block, to refuse one more",
                dynamic + layout.DYNAMIC_SHARED_SIZE + layout.PER_PROCESSOR_SIZE,
                layout.SPARE_BLOCKS * layout.PER_PROCESSOR_SIZE,
            ),
            (
                "EPT of the SMI handler, at least",
                dynamic + layout.DYNAMIC_SHARED_SIZE + (1 + layout.SPARE_BLOCKS) * layout.PER_PROCESSOR_SIZE,
                layout.EPT_LEAST_PAGES * layout.PAGE,
            ),
        ]


def _problems(
    size: int, hardware: layout.MsegHeader, software: layout.SoftwareHeader, lab: layout.LabHeader
) -> list[str]:
    """What the loader or the processor would refuse, or would carry without a use."""
    static = software.static_image_size
    text_end = lab.text_offset + lab.text_size
    table_end = lab.relocation_offset + 4 * lab.relocation_count
    rules = [
        (lab.signature == layout.LAB_HEADER_SIGNATURE, "lab header: wrong signature"),
        (lab.version == layout.LAB_HEADER_VERSION, "lab header: unknown version"),
        (hardware.features == layout.MONITOR_FEATURE_IA32E, "MSEG header: not for IA-32e mode"),
        (hardware.cr3_offset == static, "MSEG header: Cr3Offset is not StaticImageSize"),
        (hardware.cs_selector == layout.CS_SELECTOR, "MSEG header: unexpected CS selector"),
        (hardware.gdtr_limit == layout.GDT_LIMIT, "MSEG header: unexpected GDT limit"),
        (lab.text_offset <= hardware.eip_offset < text_end, "MSEG header: entry point is not in the text"),
        (static % layout.PAGE == 0, "software header: StaticImageSize is not a multiple of 4 KB"),
        (static == lab.image_offset + lab.image_size, "headers disagree about the image's size"),
        (software.smm_revision == layout.SMM_REVISION_ID, "software header: unknown save-state revision"),
        (table_end <= size, "the file ends before the relocation table does"),
        (table_end >= size, f"{size - table_end} bytes follow the relocation table and belong to nothing"),
    ]
    return [message for holds, message in rules if not holds]


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
        ValueError: the file is shorter than the header page.
    """
    if len(data) < layout.IMAGE_OFFSET:
        raise ValueError(f"{len(data)} bytes are less than the header page of an MSEG image")
    hardware = layout.MsegHeader.unpack(data)
    software = layout.SoftwareHeader.unpack(data, layout.SOFTWARE_HEADER_OFFSET)
    lab = layout.LabHeader.unpack(data, layout.LAB_HEADER_OFFSET)
    problems = _problems(len(data), hardware, software, lab)
    relocations: tuple[int, ...] = ()
    end = lab.relocation_offset + 4 * lab.relocation_count
    if not problems and lab.relocation_offset <= end <= len(data):
        relocations = struct.unpack_from(f"<{lab.relocation_count}I", data, lab.relocation_offset)
        problems += [
            f"relocation at {offset:#x} lies outside the image" for offset in relocations if offset + 8 > lab.image_size
        ]
    gdt = struct.unpack_from(f"<{(layout.GDT_LIMIT + 1) // 8}Q", data, layout.GDT_OFFSET)
    return Report(
        file_size=len(data),
        file_sha256=sha256(data).hexdigest(),
        hardware=hardware,
        software=software,
        lab=lab,
        gdt=gdt,
        relocations=relocations,
        problems=tuple(problems),
    )
