# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The little of PE32+ that the converter needs, as GenFw writes it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pefile

_X64 = pefile.MACHINE_TYPE["IMAGE_FILE_MACHINE_AMD64"]
_RELOCATION = pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_BASERELOC"]
_DEBUG = pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_DEBUG"]
_ABSOLUTE = pefile.RELOCATION_TYPE["IMAGE_REL_BASED_ABSOLUTE"]
_DIR64 = pefile.RELOCATION_TYPE["IMAGE_REL_BASED_DIR64"]
_BLOCK_HEADER = 8
_DEBUG_ENTRY_SIZE = 28

SECTION_EXECUTE = pefile.SECTION_CHARACTERISTICS["IMAGE_SCN_MEM_EXECUTE"]
SECTION_WRITE = pefile.SECTION_CHARACTERISTICS["IMAGE_SCN_MEM_WRITE"]


class PeError(Exception):
    """The file is not the kind of PE image that GenFw makes for an X64 module."""


@dataclass(frozen=True)
class Section:
    """One section; address and size in bytes, as in memory."""

    name: str
    address: int
    size: int
    flags: int

    @property
    def end(self) -> int:
        """First address after the section."""
        return self.address + self.size


@dataclass(frozen=True)
class PeImage:
    """A PE32+ image whose file offsets are its addresses."""

    data: bytes
    entry: int
    link_base: int
    size: int
    sections: tuple[Section, ...]
    relocations: tuple[int, ...]
    debug_ranges: tuple[tuple[int, int], ...]


def _sections(pe: pefile.PE) -> tuple[Section, ...]:
    """The sections; PeError for one whose place in the file is not its address."""
    found = []
    for section in pe.sections:
        name = section.Name.rstrip(b"\0").decode("ascii")
        address, raw = section.VirtualAddress, section.PointerToRawData
        if address != raw:
            raise PeError(f"section {name}: address {address:#x} is not its file offset {raw:#x}")
        size = max(section.Misc_VirtualSize, section.SizeOfRawData)
        found.append(Section(name, address, size, section.Characteristics))
    return tuple(found)


def _relocations(pe: pefile.PE, data: bytes) -> tuple[int, ...]:
    """Addresses of all DIR64 relocations; PeError for any other kind.

    pefile ends a block or the table at what it cannot read, without an error.
    Only padding may be left there.
    """
    directory = pe.OPTIONAL_HEADER.DATA_DIRECTORY[_RELOCATION]
    found: list[int] = []
    position, end = directory.VirtualAddress, directory.VirtualAddress + directory.Size
    for block in getattr(pe, "DIRECTORY_ENTRY_BASERELOC", ()):
        for entry in block.entries:
            if entry.type == _DIR64:
                found.append(entry.rva)
            elif entry.type != _ABSOLUTE:
                raise PeError(f"relocation type {entry.type} at {entry.rva:#x}; only DIR64 is supported")
        read = position + _BLOCK_HEADER + 2 * len(block.entries)
        position += block.struct.SizeOfBlock
        if any(data[read:position]):
            raise PeError(f"relocations at {read:#x} cannot be read")
    if any(data[position:end]):
        raise PeError(f"relocations at {position:#x} cannot be read")
    return tuple(sorted(found))


def _debug_ranges(pe: pefile.PE, data: bytes) -> tuple[tuple[int, int], ...]:
    """(offset, bytes) of the debug directory and all it refers to; PeError if one lies outside the file."""
    directory = pe.OPTIONAL_HEADER.DATA_DIRECTORY[_DEBUG]
    if not directory.Size:
        return ()
    ranges = [(directory.VirtualAddress, directory.Size)]
    ranges += [
        (entry.struct.AddressOfRawData, entry.struct.SizeOfData) for entry in getattr(pe, "DIRECTORY_ENTRY_DEBUG", ())
    ]
    if len(ranges) - 1 != directory.Size // _DEBUG_ENTRY_SIZE:
        raise PeError(f"the debug directory at {directory.VirtualAddress:#x} cannot be read")
    for address, length in ranges:
        if address + length > len(data):
            raise PeError(f"debug data at {address:#x} lies outside the file")
    return tuple(ranges)


def read_pe(data: bytes) -> PeImage:
    """Parse an X64 image.

    Raises:
        PeError: not PE32+ for X64, or file offsets differ from addresses.
    """
    try:
        pe = pefile.PE(data=data, fast_load=True)
        if pe.FILE_HEADER.Machine != _X64 or pe.PE_TYPE != pefile.OPTIONAL_HEADER_MAGIC_PE_PLUS:
            raise PeError("not a PE32+ image for X64")
        if len(pe.OPTIONAL_HEADER.DATA_DIRECTORY) <= _DEBUG:
            raise PeError("the data directories are cut short")
        pe.parse_data_directories(directories=[_RELOCATION, _DEBUG])
        return PeImage(
            data=data,
            entry=pe.OPTIONAL_HEADER.AddressOfEntryPoint,
            link_base=pe.OPTIONAL_HEADER.ImageBase,
            size=pe.OPTIONAL_HEADER.SizeOfImage,
            sections=_sections(pe),
            relocations=_relocations(pe, data),
            debug_ranges=_debug_ranges(pe, data),
        )
    except (pefile.PEFormatError, struct.error, UnicodeDecodeError) as error:
        raise PeError(f"truncated or garbled PE image: {error}") from error
