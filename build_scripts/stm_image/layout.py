# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Layout constants and structures of the MSEG image.

The same definitions as StmPkg/Include/StmMsegLayout.h, StmPkg/Stm/StmMemory.h,
and of edk2 StmApi.h and ArchitecturalMsr.h; tests/host/test_layout.py compiles a
C probe and compares every name in CONSTANTS and every structure in STRUCTURES.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from typing import ClassVar, Self

PAGE = 0x1000
# Of this project's firmware: PcdMsegSize of StmPkg.dec.
MSEG_SIZE = 0x20_0000

SOFTWARE_HEADER_OFFSET = 0x800
LAB_HEADER_OFFSET = 0xA00
GDT_OFFSET = 0xC00
IMAGE_OFFSET = 0x1000

CS_SELECTOR = 0x38
DS_SELECTOR = 0x40
GDT_LIMIT = 0x47

ACTIVATION_TABLES_SIZE = 6 * PAGE
LOADER_DATA_SIZE = 0x80

# IA32_VMX_BASIC[44:32] of the machine: bytes of a VMCS region, which begins a page.
VMCS_SIZE = 0x400
# What a processor has: with two VMCSs of this size two pages.
PER_PROCESSOR_MEMORY = 0x1800
BLOCK_SIZE = 0x2000
#: What all processors share, by its C name: offset in the dynamic area.
DYNAMIC: dict[str, int] = {
    "STM_DYNAMIC_SHARED": 0x0080,
    "STM_DYNAMIC_ENTRY_STACK": 0x1000,
    "STM_DYNAMIC_MSR_BITMAP": 0x2000,
    "STM_DYNAMIC_IO_BITMAP": 0x3000,
    "STM_DYNAMIC_PROFILE": 0x4000,
}
DYNAMIC_NAMES: dict[str, str] = {
    "STM_DYNAMIC_SHARED": "shared state: locks, counters, IDT; state of the spare block",
    "STM_DYNAMIC_ENTRY_STACK": "stack of activations, list of resources of a call",
    "STM_DYNAMIC_MSR_BITMAP": "MSR bitmap",
    "STM_DYNAMIC_IO_BITMAP": "I/O bitmap, of both halves of the ports",
    "STM_DYNAMIC_PROFILE": "protection profile",
}
DYNAMIC_SHARED_SIZE = 0x5000
# Of tables, at the end of MSEG.
RESERVE_PAGES = 7

# IA32_VMX_MISC[63:32] of the machine, and of processors that published images are for.
MSEG_REVISION = 0
SMM_REVISION_ID = 0x00020064
LAB_HEADER_SIGNATURE = int.from_bytes(b"STMLABHD", "little")
LAB_HEADER_VERSION = 2
LOADER_DATA_SIGNATURE = int.from_bytes(b"STMLOADR", "little")

SPEC_VERSION_MAJOR = 1
SPEC_VERSION_MINOR = 0

#: MSEG header, "SMM-transfer monitor features": the STM starts in IA-32e mode.
MONITOR_FEATURE_IA32E = 1
#: SOFTWARE_STM_HEADER.StmFeatures: Intel64ModeSupported, EptSupported.
STM_FEATURES = 0b11

#: C name to Python value, for the comparison with the headers.
CONSTANTS: dict[str, int] = DYNAMIC | {
    "STM_MSEG_SOFTWARE_HEADER_OFFSET": SOFTWARE_HEADER_OFFSET,
    "STM_MSEG_LAB_HEADER_OFFSET": LAB_HEADER_OFFSET,
    "STM_MSEG_GDT_OFFSET": GDT_OFFSET,
    "STM_MSEG_IMAGE_OFFSET": IMAGE_OFFSET,
    "STM_MSEG_CS_SELECTOR": CS_SELECTOR,
    "STM_MSEG_DS_SELECTOR": DS_SELECTOR,
    "STM_MSEG_GDT_LIMIT": GDT_LIMIT,
    "STM_MSEG_ACTIVATION_TABLES_SIZE": ACTIVATION_TABLES_SIZE,
    "STM_LOADER_DATA_SIZE": LOADER_DATA_SIZE,
    "STM_PER_PROCESSOR_MEMORY": PER_PROCESSOR_MEMORY,
    "STM_BLOCK_SIZE": BLOCK_SIZE,
    "STM_DYNAMIC_SHARED_SIZE": DYNAMIC_SHARED_SIZE,
    "STM_RESERVE_PAGES": RESERVE_PAGES,
    "STM_SMM_REVISION_ID": SMM_REVISION_ID,
    "STM_LAB_HEADER_SIGNATURE": LAB_HEADER_SIGNATURE,
    "STM_LAB_HEADER_VERSION": LAB_HEADER_VERSION,
    "STM_LOADER_DATA_SIGNATURE": LOADER_DATA_SIGNATURE,
    "STM_SPEC_VERSION_MAJOR": SPEC_VERSION_MAJOR,
    "STM_SPEC_VERSION_MINOR": SPEC_VERSION_MINOR,
}


@dataclass(frozen=True)
class Structure:
    """A packed little-endian structure; FIELDS are (C member, struct format)."""

    FIELDS: ClassVar[tuple[tuple[str, str], ...]]

    @classmethod
    def format(cls) -> str:
        """Format string for the struct module."""
        return "<" + "".join(code for _, code in cls.FIELDS)

    @classmethod
    def size(cls) -> int:
        """Bytes of the structure."""
        return struct.calcsize(cls.format())

    @classmethod
    def offsets(cls) -> dict[str, int]:
        """Offset in bytes of each member, by its C name."""
        result: dict[str, int] = {}
        position = 0
        for name, code in cls.FIELDS:
            result[name] = position
            position += struct.calcsize("<" + code)
        return result

    def pack(self) -> bytes:
        """The bytes of the structure."""
        return struct.pack(self.format(), *astuple(self))

    @classmethod
    def unpack(cls, data: bytes, offset: int = 0) -> Self:
        """Read the structure at offset; struct.error if data ends before it does."""
        return cls(*struct.unpack_from(cls.format(), data, offset))


@dataclass(frozen=True)
class MsegHeader(Structure):
    """What the processor reads at the MSEG base, SDM 34.15.6.2 [32.15.6.2]; offsets are from that base."""

    FIELDS = (
        ("MsegHeaderRevision", "I"),
        ("MonitorFeatures", "I"),
        ("GdtrLimit", "I"),
        ("GdtrBaseOffset", "I"),
        ("CsSelector", "I"),
        ("EipOffset", "I"),
        ("EspOffset", "I"),
        ("Cr3Offset", "I"),
    )

    revision: int
    features: int
    gdtr_limit: int
    gdtr_base_offset: int
    cs_selector: int
    eip_offset: int
    esp_offset: int
    cr3_offset: int


@dataclass(frozen=True)
class SoftwareHeader(Structure):
    """SOFTWARE_STM_HEADER of the STM interface with the first of its save-state revisions; sizes in bytes."""

    FIELDS = (
        ("StmSpecVerMajor", "B"),
        ("StmSpecVerMinor", "B"),
        ("Reserved", "H"),
        ("StaticImageSize", "I"),
        ("PerProcDynamicMemorySize", "I"),
        ("AdditionalDynamicMemorySize", "I"),
        ("StmFeatures", "I"),
        ("NumberOfRevIDs", "I"),
        ("StmSmmRevID", "I"),
    )

    major: int
    minor: int
    reserved: int
    static_image_size: int
    per_processor_size: int
    additional_size: int
    features: int
    revision_count: int
    smm_revision: int


@dataclass(frozen=True)
class LabHeader(Structure):
    """STM_LAB_HEADER of StmMsegLayout.h; offsets are from the start of the file."""

    FIELDS = (
        ("Signature", "Q"),
        ("Version", "I"),
        ("HeaderSize", "I"),
        ("ImageOffset", "I"),
        ("ImageSize", "I"),
        ("TextOffset", "I"),
        ("TextSize", "I"),
        ("RodataOffset", "I"),
        ("RodataSize", "I"),
    )

    signature: int
    version: int
    header_size: int
    image_offset: int
    image_size: int
    text_offset: int
    text_size: int
    rodata_offset: int
    rodata_size: int


#: C type to its Python twin. Member names are the C ones; a bit-field or an
#: array is compared by the offset of its first byte.
STRUCTURES: dict[str, type[Structure]] = {
    "MSEG_HEADER": MsegHeader,
    "SOFTWARE_STM_HEADER": SoftwareHeader,
    "STM_LAB_HEADER": LabHeader,
}

#: Activation GDT by selector: 64-bit code and flat data, both accessed.
GDT: dict[int, int] = {
    CS_SELECTOR: 0x00AF_9B00_0000_FFFF,
    DS_SELECTOR: 0x00CF_9300_0000_FFFF,
}


#: Bytes of the two headers of the interface, without the list of revisions at their end.
HEADERS_SIZE = SOFTWARE_HEADER_OFFSET + SoftwareHeader.offsets()["StmSmmRevID"]

#: SOFTWARE_STM_HEADER.AdditionalDynamicMemorySize: all that does not grow with the processors.
ADDITIONAL_SIZE = ACTIVATION_TABLES_SIZE + DYNAMIC_SHARED_SIZE + RESERVE_PAGES * PAGE


def pages(size: int) -> int:
    """A size rounded up to pages."""
    return -(-size // PAGE) * PAGE


def needed_size(software: SoftwareHeader, processors: int, vmcs_size: int = VMCS_SIZE) -> int:
    """Bytes of MSEG for a number of processors, the formula of edk2's STM loader."""
    per_processor = software.per_processor_size + 2 * vmcs_size
    return pages(software.static_image_size) + software.additional_size + per_processor * processors


def read_software_header(data: bytes) -> SoftwareHeader:
    """The software header of a file of at least HEADERS_SIZE bytes; 0 for a first revision that is not there."""
    return SoftwareHeader.unpack(data[: HEADERS_SIZE + 4].ljust(HEADERS_SIZE + 4, b"\0"), SOFTWARE_HEADER_OFFSET)


def read_lab_header(data: bytes) -> LabHeader | None:
    """The header of ours; None if the image has none."""
    if len(data) < IMAGE_OFFSET:
        return None
    lab = LabHeader.unpack(data, LAB_HEADER_OFFSET)
    return lab if lab.signature == LAB_HEADER_SIGNATURE else None
