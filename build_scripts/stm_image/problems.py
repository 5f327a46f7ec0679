# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the firmware's loader refuses in an image, by the same names, and in whole sentences.

The loader's check is StmPkg/Firmware/StmStatusLib/StmImageCheck.c; tests/host/test_image_check.py compares both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from build_scripts.stm_image import layout


@dataclass(frozen=True)
class Problem:
    """One rule that an image breaks.

    Attributes:
        name: as the firmware reports it in ``image_problem``: the field, a colon, why.
        sentence: for a reader.
    """

    name: str
    sentence: str


def _software(software: layout.SoftwareHeader, size: int) -> Iterator[Problem]:
    static = software.static_image_size
    if software.major != layout.SPEC_VERSION_MAJOR:
        yield Problem(
            "StmSpecVerMajor:unknown",
            f"software header: StmSpecVerMajor is {software.major}, not {layout.SPEC_VERSION_MAJOR}",
        )
    if static < layout.HEADERS_SIZE:
        yield Problem(
            "StaticImageSize:shorter-than-headers",
            f"software header: StaticImageSize is {static:#x}, less than the headers",
        )
    if static > size:
        yield Problem(
            "StaticImageSize:beyond-file",
            f"software header: StaticImageSize is {static:#x}, and the file has only {size:#x} bytes",
        )
    if not software.revision_count:
        yield Problem("NumberOfRevIDs:none", "software header: NumberOfRevIDs is 0, so it fits no save-state map")
    elif layout.HEADERS_SIZE + 4 * software.revision_count > static:
        yield Problem(
            "NumberOfRevIDs:beyond-static-image",
            f"software header: {software.revision_count} revisions (NumberOfRevIDs) do not fit the static image",
        )


def _hardware(hardware: layout.MsegHeader, static: int, mseg_size: int) -> Iterator[Problem]:
    if hardware.features & ~layout.MONITOR_FEATURE_IA32E:
        yield Problem(
            "MonitorFeatures:reserved-bits", f"MSEG header: MonitorFeatures {hardware.features:#x} has reserved bits"
        )
    elif not hardware.features:
        yield Problem(
            "MonitorFeatures:not-ia32e-mode",
            "MSEG header: MonitorFeatures is 0, not for IA-32e mode, so a 64-bit executive monitor cannot activate it",
        )
    gdt_end = hardware.gdtr_base_offset + (hardware.gdtr_limit & 0xFFFF)
    if gdt_end >= static:
        yield Problem(
            "GdtrBaseOffset:outside-static-image",
            f"MSEG header: the GDT ends at {gdt_end:#x} (GdtrBaseOffset + GdtrLimit), behind the static image",
        )
    if not layout.HEADERS_SIZE <= hardware.eip_offset < static:
        yield Problem(
            "EipOffset:outside-static-image",
            f"MSEG header: EipOffset {hardware.eip_offset:#x} is not in the static image",
        )
    if hardware.esp_offset > mseg_size:
        yield Problem("EspOffset:outside-mseg", f"MSEG header: EspOffset {hardware.esp_offset:#x} is behind MSEG")
    if hardware.cr3_offset % layout.PAGE:
        yield Problem(
            "Cr3Offset:not-a-page", f"MSEG header: Cr3Offset {hardware.cr3_offset:#x} is not a multiple of 4 KB"
        )
    if hardware.cr3_offset < static:
        yield Problem(
            "Cr3Offset:inside-static-image",
            f"MSEG header: Cr3Offset {hardware.cr3_offset:#x} is in the static image, where the loader makes no tables",
        )


def _is_page_range(lab: layout.LabHeader, start: int, size: int) -> bool:
    aligned = not (start | size) % layout.PAGE
    return aligned and lab.image_offset <= start and start + size <= lab.image_offset + lab.image_size


def _lab(hardware: layout.MsegHeader, static: int, lab: layout.LabHeader) -> Iterator[Problem]:
    """The header of ours; the first problem only, since the others may follow from it."""
    known = (layout.LAB_HEADER_VERSION, layout.LabHeader.size(), layout.IMAGE_OFFSET)
    if (lab.version, lab.header_size, lab.image_offset) != known:
        yield Problem("lab-header:unknown-version", "lab header: unknown version or size")
        return
    parts = [(lab.image_offset, lab.image_size), (lab.text_offset, lab.text_size)]
    parts += [(lab.rodata_offset, lab.rodata_size)] if lab.rodata_size else []
    if not lab.image_size or not all(_is_page_range(lab, *part) for part in parts):
        yield Problem("lab-header:parts-outside-image", "lab header: its parts are not pages of the image")
        return
    if static != lab.image_offset + lab.image_size:
        yield Problem("lab-header:disagrees-with-StaticImageSize", "headers disagree about the image's size")
        return
    if hardware.cr3_offset != static:
        yield Problem("lab-header:disagrees-with-Cr3Offset", "MSEG header: Cr3Offset is not StaticImageSize")
        return
    if not lab.text_offset <= hardware.eip_offset < lab.text_offset + lab.text_size:
        yield Problem("lab-header:disagrees-with-EipOffset", "MSEG header: entry point is not in the text")


def find_problems(data: bytes, mseg_size: int, mseg_revision: int = layout.MSEG_REVISION) -> tuple[Problem, ...]:
    """Every rule that an image breaks; the loader reports the first.

    Args:
        data: the file.
        mseg_size: bytes of MSEG.
        mseg_revision: MSEG revision identifier of the processor.
    """
    if len(data) < layout.HEADERS_SIZE:
        return (Problem("file:shorter-than-headers", f"{len(data)} bytes are less than the headers of an MSEG image"),)
    hardware = layout.MsegHeader.unpack(data)
    software = layout.read_software_header(data)
    found = [*_software(software, len(data)), *_hardware(hardware, software.static_image_size, mseg_size)]
    lab = layout.read_lab_header(data)
    if not found and lab is not None:
        found += _lab(hardware, software.static_image_size, lab)
    if not found and hardware.revision not in (0, mseg_revision):
        found.append(
            Problem(
                "MsegHeaderRevision:not-the-processors",
                f"MSEG header: revision {hardware.revision:#x} is neither 0 nor the processor's, {mseg_revision:#x}",
            )
        )
    return tuple(found)
