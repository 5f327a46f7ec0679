# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Converter: Stm.efi, as GenFw links it, into Stm.mseg (StmMsegLayout.h).

File: page 0 with the three headers and the activation GDT | image. The image is
link output without the relocation section, with all debug data zeroed: that holds
the path of the build directory, and the same inputs shall give the same image.

Nothing has to be relocated, so that a firmware that only copies can load it: code
is position-independent, and what pointers there are, the tables of exit handlers,
hold addresses as linked, to which the STM adds where it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

from build_scripts.stm_image import layout
from build_scripts.stm_image.pe import SECTION_EXECUTE, SECTION_WRITE, PeError, PeImage, Section, read_pe


class ImageError(Exception):
    """The module cannot become an MSEG image, and why."""


@dataclass(frozen=True)
class Image:
    """A finished image: the file's bytes, what is in its headers, and where its pointers are, from the link base."""

    data: bytes
    hardware: layout.MsegHeader
    software: layout.SoftwareHeader
    lab: layout.LabHeader
    pointers: tuple[int, ...]

    def facts(self) -> dict[str, object]:
        """Facts for tests and documentation; sizes and offsets in bytes."""
        return {
            "file_size": len(self.data),
            "file_sha256": sha256(self.data).hexdigest(),
            "mseg_revision": self.hardware.revision,
            "static_image_size": self.software.static_image_size,
            "additional_dynamic_memory_size": self.software.additional_size,
            "per_processor_dynamic_memory_size": self.software.per_processor_size,
            "needed_for_one_processor": layout.needed_size(self.software, 1),
            "eip_offset": self.hardware.eip_offset,
            "cr3_offset": self.hardware.cr3_offset,
            "text_offset": self.lab.text_offset,
            "text_size": self.lab.text_size,
            "rodata_offset": self.lab.rodata_offset,
            "rodata_size": self.lab.rodata_size,
            "pointers": list(self.pointers),
        }


def _split(pe: PeImage) -> tuple[Section, Section | None, int]:
    """The text section, the section of pointer tables if there is one, and the image's end.

    Raises:
        ImageError: other sections than .text, .data, .reloc, or unaligned ones.
    """
    by_name = {section.name: section for section in pe.sections}
    unknown = sorted(by_name.keys() - {".text", ".data", ".reloc"})
    if unknown:
        raise ImageError(f"section {unknown[0]} has no place in MSEG")
    text, tables = by_name.get(".text"), by_name.get(".data")
    if text is None or not text.flags & SECTION_EXECUTE:
        raise ImageError("no executable .text section")
    if text.flags & SECTION_WRITE:
        raise ImageError(".text is writable")
    kept = [section for section in (text, tables) if section is not None]
    for section in kept:
        if section.address % layout.PAGE or section.size % layout.PAGE:
            raise ImageError(f"section {section.name} is not aligned to pages; link with 4-KB sections")
    end = max(section.end for section in kept)
    reloc = by_name.get(".reloc")
    if reloc is not None and reloc.address < end:
        raise ImageError(".reloc does not follow the other sections")
    return text, tables, end


def _check_tables(image: bytes, tables: Section, relocations: tuple[int, ...]) -> None:
    """Fail if a writable section holds initialised data other than pointers.

    Constant tables of pointers land in .data only because they are relocated;
    MSEG maps them read-only. Anything else there that is not zero, and any zero
    that code expects to write, would not survive: the image is read-only.
    """
    allowed = {offset + byte for offset in relocations for byte in range(8)}
    for offset in range(tables.address, tables.end):
        if image[offset] and offset not in allowed:
            raise ImageError(f"initialised writable data at {tables.name}+{offset - tables.address:#x}")


def convert(efi: bytes, mseg_revision: int = layout.MSEG_REVISION) -> Image:
    """Make the MSEG image.

    Args:
        efi: the linked module, PE32+ for X64.
        mseg_revision: MSEG revision identifier, IA32_VMX_MISC[63:32] of the processor.

    Raises:
        ImageError: the module breaks a rule of the layout; the message says which.
    """
    try:
        pe = read_pe(efi)
    except PeError as error:
        raise ImageError(str(error)) from error
    text, tables, end = _split(pe)
    body = bytearray(pe.data[:end].ljust(end, b"\0"))
    for start, size in pe.debug_ranges:
        body[start : start + size] = bytes(size)
    for offset in pe.relocations:
        if offset + 8 > end:
            raise ImageError(f"relocation at {offset:#x} lies outside the image")
    if pe.link_base:
        raise ImageError(f"linked at {pe.link_base:#x}, not at 0, from which the STM takes its pointers")
    if not text.address <= pe.entry < text.end:
        raise ImageError(f"entry point {pe.entry:#x} is not in .text")
    image = bytes(body)
    if tables is not None:
        _check_tables(image, tables, pe.relocations)

    static_size = layout.IMAGE_OFFSET + len(image)
    hardware = layout.MsegHeader(
        revision=mseg_revision,
        features=layout.MONITOR_FEATURE_IA32E,
        gdtr_limit=layout.GDT_LIMIT,
        gdtr_base_offset=layout.GDT_OFFSET,
        cs_selector=layout.CS_SELECTOR,
        eip_offset=layout.IMAGE_OFFSET + pe.entry,
        # The entry code uses no stack before it owns the entry stack.
        esp_offset=static_size,
        cr3_offset=static_size,
    )
    software = layout.SoftwareHeader(
        major=layout.SPEC_VERSION_MAJOR,
        minor=layout.SPEC_VERSION_MINOR,
        reserved=0,
        static_image_size=static_size,
        per_processor_size=layout.PER_PROCESSOR_STACK,
        additional_size=layout.ADDITIONAL_SIZE,
        features=layout.STM_FEATURES,
        revision_count=1,
        smm_revision=layout.SMM_REVISION_ID,
    )
    lab = layout.LabHeader(
        signature=layout.LAB_HEADER_SIGNATURE,
        version=layout.LAB_HEADER_VERSION,
        header_size=layout.LabHeader.size(),
        image_offset=layout.IMAGE_OFFSET,
        image_size=len(image),
        text_offset=layout.IMAGE_OFFSET + text.address,
        text_size=text.size,
        rodata_offset=layout.IMAGE_OFFSET + (tables.address if tables else text.end),
        rodata_size=tables.size if tables else 0,
    )
    data = _first_page(hardware, software, lab) + image
    return Image(data, hardware, software, lab, pe.relocations)


def _first_page(hardware: layout.MsegHeader, software: layout.SoftwareHeader, lab: layout.LabHeader) -> bytes:
    """Page 0: headers and activation GDT at their fixed offsets, zero elsewhere."""
    page = bytearray(layout.IMAGE_OFFSET)
    for offset, part in (
        (0, hardware.pack()),
        (layout.SOFTWARE_HEADER_OFFSET, software.pack()),
        (layout.LAB_HEADER_OFFSET, lab.pack()),
    ):
        page[offset : offset + len(part)] = part
    for selector, descriptor in layout.GDT.items():
        struct.pack_into("<Q", page, layout.GDT_OFFSET + selector, descriptor)
    return bytes(page)
