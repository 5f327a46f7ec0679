# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Inputs from which a fuzzer starts: a few that reach deep, made here so that the repository holds no binary.

Each follows what its target reads: tests/fuzz/targets and tests/fuzz/lists.c. Needs pefile beyond the standard
library, as all that reads images does.
"""

from __future__ import annotations

import struct

from build_scripts.stm_image import layout

# tests/fuzz/targets/api.c: what the low four bits of an operation choose; processor in bits 5:4, page in bits 7:6.
_PROTECT, _PROTECT_AGAIN, _UNPROTECT, _RESOURCES, _INITIALIZE = 0, 3, 4, 7, 8
_START, _STOP, _BIOS_LIST, _HANDLER, _ANYTHING = 10, 11, 12, 13, 14
_MEMORY, _PORTS, _MSR, _PCI = 0, 3, 5, 8


def _list(*descriptors: bytes) -> bytes:
    return bytes([len(descriptors)]) + b"".join(descriptors)


def _memory(base: int, place: int, shape: int, access: int) -> bytes:
    return bytes([_MEMORY, base << 5 | place, shape, access])


def _api() -> list[bytes]:
    own = [_memory(0, 8 + 2 * n, n & 7, 7) for n in range(4)]
    mixed = [_memory(1, 7, 1, 7), _memory(2, 8, 0, 7), bytes([_PORTS, 0, 4]), bytes([_MSR, 3, 1, 1])]
    pci = [bytes([_PCI, 1, 0, 15, 0, 31, 7])]
    large = [_memory(4, 9 + n, 0x30, 3) for n in range(7)]
    claims = [bytes([_PORTS, 2, 1]), bytes([_MSR, 2, 1, 1]), _memory(0, 9, 0, 7)]

    def life(*calls: bytes, shape: int = 0xF4) -> bytes:
        return bytes([shape, _INITIALIZE]) + b"".join(calls) + bytes([_STOP])

    def protect(items: list[bytes], operation: int = _PROTECT, processor: int = 0) -> bytes:
        return bytes([operation | processor << 4]) + _list(*items)

    others = bytes([_START, _START | 0x10, _START | 0x20, _RESOURCES, 0, _RESOURCES, 1])
    lookup = bytes([_START, _HANDLER, 0x3B]) + struct.pack("<QH", 0x10_0000, 8) + bytes([_HANDLER, 0x80])
    return [
        life(protect(own), bytes([_START]), protect(own, _UNPROTECT)),
        life(others, protect(mixed, processor=1), protect(own, _UNPROTECT, 2), bytes([_STOP | 0x10, _STOP | 0x20])),
        life(protect(pci), protect(large), bytes([_PROTECT_AGAIN, _UNPROTECT]), protect(large, _UNPROTECT)),
        bytes([0xF2, _BIOS_LIST]) + _list(*claims) + life(protect(mixed), protect(claims), others)[1:],
        life(protect(own), lookup, bytes([_ANYTHING, 0x80 | 9])),
        bytes([0x74, _START, _STOP, _PROTECT_AGAIN, _RESOURCES, 0]) + life(protect(own))[1:] * 3,
        life(b"".join(protect([_memory(n % 5, n, n & 0x3F, n & 7)]) for n in range(32))),
    ]


def _bios_list() -> list[bytes]:
    end = struct.pack("<IHHQ", 0, 16, 0, 0)
    port = struct.pack("<IHHHHI", 2, 16, 0, 0x60, 5, 0)
    msr = struct.pack("<IHHIIQQ", 4, 32, 0, 0x174, 0, 1, 1)
    made = _list(_memory(0, 8, 1, 7), bytes([_PORTS, 0, 4]), bytes([_MSR, 3, 1, 1]))
    # Shape 2: bytes as they are; 4: parts that name the next one; 1: rewritten by the tail.
    return [
        bytes([2, 0]) + port + msr + end + bytes(9),
        bytes([2, 0]) + msr * 60 + end,
        bytes([4, 0]) + made * 3,
        bytes([3, 8]) + port * 4 + end + bytes([4, 16, 20, 32, 6, 1, 4, 8]),
    ]


def _page_map() -> list[bytes]:
    whole = bytes([0x1C, 1, 0x85 - 0x80 | 0x08])
    return [bytes([0x8F]) + whole * n + bytes([0x15, 0x09, 0x11, 0x22]) * 12 for n in (1, 2, 4)]


def _walk() -> list[bytes]:
    entries = b"".join(struct.pack("<HH", table, (table + 1) << 12 | 7) for table in range(7))
    return [bytes([shape, 7]) + entries + bytes([0, 0, 1, 2, 4, 0x80, *range(8)]) for shape in range(16)]


def _pci() -> list[bytes]:
    def code(text: str, shape: int = 0) -> bytes:
        data = bytes.fromhex(text)
        return bytes([0, shape | len(data)]) + data + (bytes(16) if shape == 0 else b"")

    # MOV, MOVZX, MOVSX, MOVSXD, MOV with an immediate, with SIB, displacement, prefixes; the same of 32-bit code.
    moves = ("8b07", "480fb607", "0fbf4708", "486303", "c744240805000000", "66c7000102", "a2" + "11" * 8, "45883c24")
    path = bytes([1, 2, 0x40, 0, 4, 0, 0, 0, 3, 1, 9, 0, 4, 1, 20, 0, 5, 0, 0])
    return [
        b"".join(map(code, moves)),
        b"".join(code(text, 0x80) for text in moves),
        path,
        bytes([1, 0xC0, 0, 0, 0, 0x10, 0, 7, 31]) + path,
    ]


def _save_state() -> list[bytes]:
    return [bytes(range(256)) * 4, bytes(600)]


def image_file() -> bytes:
    """The smallest image that the loader accepts: a page of code."""
    size = layout.IMAGE_OFFSET + layout.PAGE
    lab = layout.LabHeader(
        layout.LAB_HEADER_SIGNATURE,
        layout.LAB_HEADER_VERSION,
        layout.LabHeader.size(),
        layout.IMAGE_OFFSET,
        layout.PAGE,
        layout.IMAGE_OFFSET,
        layout.PAGE,
        *(0, 0),
    )
    software = layout.SoftwareHeader(
        layout.SPEC_VERSION_MAJOR,
        layout.SPEC_VERSION_MINOR,
        0,
        size,
        layout.PER_PROCESSOR_MEMORY,
        layout.ADDITIONAL_SIZE,
        layout.STM_FEATURES,
        1,
        layout.SMM_REVISION_ID,
    )
    hardware = layout.MsegHeader(
        layout.MSEG_REVISION,
        layout.MONITOR_FEATURE_IA32E,
        layout.GDT_LIMIT,
        layout.GDT_OFFSET,
        layout.CS_SELECTOR,
        layout.IMAGE_OFFSET,
        0,
        size,
    )
    file = bytearray(size)
    parts = {0: hardware, layout.SOFTWARE_HEADER_OFFSET: software, layout.LAB_HEADER_OFFSET: lab}
    for offset, part in parts.items():
        file[offset : offset + part.size()] = part.pack()
    return bytes(file)


def _image() -> list[bytes]:
    # Three bytes: how long the file is, processors, MSEG. Its headers end where tests/fuzz/targets/image.c says.
    head = image_file()[:0xE00]
    return [bytes([0x60, count, 0x20]) + head for count in (1, 8)] + [bytes([0x71, 1, 1]) + head]


_MADE = {
    "api": _api,
    "bios_list": _bios_list,
    "page_map": _page_map,
    "walk": _walk,
    "pci": _pci,
    "save_state": _save_state,
    "image": _image,
}


def of(name: str) -> list[bytes]:
    """The seeds of a target, in a fixed order."""
    return _MADE[name]()
