# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Converter: Stm.efi, as GenFw links it, into Stm.mseg (StmMsegLayout.h).

File: link output as it would be in memory, but that the first page, with the headers of
the module, is one with the three headers of an MSEG image and the activation GDT. Behind
it is the text alone. Debug data hold the path of the build directory, and the same inputs
shall give the same image.

Nothing has to be relocated, so that a firmware that only copies can load it: code
is position-independent, and there are no pointers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

from build_scripts.stm_image import layout
from build_scripts.stm_image.pe import SECTION_EXECUTE, SECTION_WRITE, PeError, PeImage, Section, read_pe

#: Bytes of .dynamic: there is no dynamic linking, so it has few entries.
_DYNAMIC_SIZE = 0x80


class ImageError(Exception):
    """The module cannot become an MSEG image, and why."""


@dataclass(frozen=True)
class Image:
    """A finished image: the file's bytes, and what is in its headers."""

    data: bytes
    hardware: layout.MsegHeader
    software: layout.SoftwareHeader
    lab: layout.LabHeader

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
        }


def _text(pe: PeImage) -> Section:
    """The text section, all of the module that the image keeps.

    Raises:
        ImageError: other sections than .text, .data, .reloc, or one that is not as it has to be.
    """
    by_name = {section.name: section for section in pe.sections}
    unknown = sorted(by_name.keys() - {".text", ".data", ".reloc"})
    if unknown:
        raise ImageError(f"section {unknown[0]} has no place in MSEG")
    text = by_name.get(".text")
    if text is None or not text.flags & SECTION_EXECUTE:
        raise ImageError("no executable .text section")
    if text.flags & SECTION_WRITE:
        raise ImageError(".text is writable")
    if text.address % layout.PAGE or text.size % layout.PAGE:
        raise ImageError("section .text is not aligned to pages; link with 4-KB sections")
    if text.address != layout.IMAGE_OFFSET:
        raise ImageError(f"section .text begins at {text.address:#x}, not behind the page of the headers")
    return text


def _check_data(pe: PeImage, body: bytearray) -> None:
    """Fail if code works on data, in an image that is never written, or on pointers.

    In .data are what GenFw tells of the debug data, what is left of the linker's .dynamic, and
    before both the module's data. A few bytes of zeros would not show here: that the linker
    has made neither .data nor .bss, tests/boot/test_documented_addresses.py looks for.

    Raises:
        ImageError: it does.
    """
    if pe.relocations:
        raise ImageError(
            f"pointer at {pe.relocations[0]:#x}: nobody relocates the image, so code has to make addresses"
        )
    for section in pe.sections:
        if section.name != ".data":
            continue
        if not pe.debug_ranges or pe.debug_ranges[0][0] > section.address + _DYNAMIC_SIZE:
            raise ImageError("writable data in .data: the image is never written")
        for offset in range(section.address, min(section.end, len(body))):
            if body[offset]:
                raise ImageError(f"initialised writable data at .data+{offset - section.address:#x}")


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
    text = _text(pe)
    body = bytearray(pe.data)
    for start, size in pe.debug_ranges:
        body[start : start + size] = bytes(size)
    if pe.link_base:
        raise ImageError(f"linked at {pe.link_base:#x}, not at 0, where MSEG begins")
    if not text.address <= pe.entry < text.end:
        raise ImageError(f"entry point {pe.entry:#x} is not in .text")
    _check_data(pe, body)

    static_size = text.end
    hardware = layout.MsegHeader(
        revision=mseg_revision,
        features=layout.MONITOR_FEATURE_IA32E,
        gdtr_limit=layout.GDT_LIMIT,
        gdtr_base_offset=layout.GDT_OFFSET,
        cs_selector=layout.CS_SELECTOR,
        eip_offset=pe.entry,
        # The entry code uses no stack before it owns the entry stack.
        esp_offset=static_size,
        cr3_offset=static_size,
    )
    software = layout.SoftwareHeader(
        major=layout.SPEC_VERSION_MAJOR,
        minor=layout.SPEC_VERSION_MINOR,
        reserved=0,
        static_image_size=static_size,
        per_processor_size=layout.PER_PROCESSOR_MEMORY,
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
        image_size=text.size,
        text_offset=text.address,
        text_size=text.size,
        rodata_offset=text.end,
        rodata_size=0,
    )
    file = _first_page(hardware, software, lab) + bytes(body[text.address : text.end]).ljust(text.size, b"\0")
    return Image(file, hardware, software, lab)


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
