# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The little of PE32+ that the converter needs, as GenFw writes it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_MACHINE_X64 = 0x8664
_MAGIC_PE32_PLUS = 0x20B
_DIRECTORY_RELOCATION = 5
_DIRECTORY_DEBUG = 6
_DEBUG_ENTRY_SIZE = 28

SECTION_CODE = 0x20
SECTION_DISCARDABLE = 0x0200_0000
SECTION_EXECUTE = 0x2000_0000
SECTION_WRITE = 0x8000_0000

_RELOCATION_ABSOLUTE = 0
_RELOCATION_DIR64 = 10


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


def _relocations(data: bytes, start: int, size: int) -> tuple[int, ...]:
    """Addresses of all DIR64 relocations; PeError for any other kind."""
    found: list[int] = []
    position, end = start, start + size
    while position + 8 <= end:
        page, length = struct.unpack_from("<II", data, position)
        if length < 8:
            break
        for (entry,) in struct.iter_unpack("<H", data[position + 8 : position + length]):
            kind, offset = entry >> 12, entry & 0xFFF
            if kind == _RELOCATION_DIR64:
                found.append(page + offset)
            elif kind != _RELOCATION_ABSOLUTE:
                raise PeError(f"relocation type {kind} at {page + offset:#x}; only DIR64 is supported")
        position += length
    return tuple(sorted(found))


def _debug_ranges(data: bytes, start: int, size: int) -> tuple[tuple[int, int], ...]:
    """(offset, bytes) of the debug directory and all it refers to; PeError if one lies outside the file."""
    ranges = [(start, size)]
    for position in range(start, start + size, _DEBUG_ENTRY_SIZE):
        length, address = struct.unpack_from("<II", data, position + 16)
        ranges.append((address, length))
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
        (header,) = struct.unpack_from("<I", data, 0x3C)
        machine, count = struct.unpack_from("<HH", data, header + 4)
        (optional_size,) = struct.unpack_from("<H", data, header + 20)
        optional = header + 24
        (magic,) = struct.unpack_from("<H", data, optional)
        if data[header : header + 4] != b"PE\0\0" or machine != _MACHINE_X64 or magic != _MAGIC_PE32_PLUS:
            raise PeError("not a PE32+ image for X64")
        (entry,) = struct.unpack_from("<I", data, optional + 16)
        (link_base,) = struct.unpack_from("<Q", data, optional + 24)
        (size,) = struct.unpack_from("<I", data, optional + 56)
        directories = optional + 112
        relocation = struct.unpack_from("<II", data, directories + 8 * _DIRECTORY_RELOCATION)
        debug = struct.unpack_from("<II", data, directories + 8 * _DIRECTORY_DEBUG)
        sections: list[Section] = []
        for index in range(count):
            position = optional + optional_size + 40 * index
            name = data[position : position + 8].rstrip(b"\0").decode("ascii")
            virtual_size, address, raw_size, raw = struct.unpack_from("<IIII", data, position + 8)
            (flags,) = struct.unpack_from("<I", data, position + 36)
            if address != raw:
                raise PeError(f"section {name}: address {address:#x} is not its file offset {raw:#x}")
            sections.append(Section(name, address, max(virtual_size, raw_size), flags))
        return PeImage(
            data=data,
            entry=entry,
            link_base=link_base,
            size=size,
            sections=tuple(sections),
            relocations=_relocations(data, *relocation) if relocation[1] else (),
            debug_ranges=_debug_ranges(data, *debug) if debug[1] else (),
        )
    except (struct.error, UnicodeDecodeError) as error:
        raise PeError(f"truncated or garbled PE image: {error}") from error
