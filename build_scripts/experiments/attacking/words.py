# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Steps that several attacks begin with, as words of Attack.efi."""

from __future__ import annotations

MEMORY, END = 1, 0
# Sizes of STM_RSC_MEM_DESC and STM_RSC_END, and all accesses of RWXAttributes.
_MEMORY_BYTES, _END_BYTES, _ALL = 32, 16, 7
_WORD = 8
# The device that attacks move and write: bus 0, device 10H, function 0, as bits 15:8 of port CF8H have it; and where
# its configuration space lies in memory, from the beginning of ECAM.
EDU = 0x80
EDU_ECAM = EDU << 12
# Command of a device: it answers for the memory that its BARs name.
_COMMAND, _MEMORY_DECODING = "04", 2  # bit 1
# For port CF8H: the chipset's register that holds the address of ECAM.
PCIEXBAR = "80000060"

# The IOMMU (Intel VT-d): its registers, of which GCMD_REG takes commands and GSTS_REG tells what holds.
IOMMU = 0xFED9_0000
IOMMU_COMMAND, IOMMU_STATUS, _IOMMU_ROOT = IOMMU + 0x18, IOMMU + 0x1C, IOMMU + 0x20
_SET_ROOT, _TRANSLATE = 1 << 30, 1 << 31
IOMMU_STOPS = "the IOMMU: its root table, which the executive monitor has set, names no device"
IOMMU_OFF = "an STM confines SMI handlers; against DMA an executive monitor uses the IOMMU"
# Registers of the device in its BAR, and its own buffer (QEMU's docs/specs/edu.rst).
_EDU_SOURCE, _EDU_DESTINATION, _EDU_COUNT, _EDU_COMMAND, _EDU_BUFFER = 0x80, 0x88, 0x90, 0x98, 0x40000
_EDU_RUN, _EDU_TO_MEMORY = 1, 2
# A transfer takes a tenth of a second; so many reads of memory take more.
_EDU_READS = 0x100000


def iommu_on(label: str = "protect") -> str:
    """The executive monitor's IOMMU stops all DMA: the root table is a page of zeros.

    Args:
        label: of the steps; those of "protect" are left out where nothing is protected.
    """
    return (
        f"{label}1=write:8:{_IOMMU_ROOT:x}:area {label}2=write:4:{IOMMU_COMMAND:x}:{_SET_ROOT:x} "
        f"{label}3=write:4:{IOMMU_COMMAND:x}:{_TRANSLATE:x}"
    )


def iommu_off(label: str = "protect") -> str:
    """The IOMMU lets all DMA pass again, as at reset; `label` as in `iommu_on`."""
    return f"{label}4=write:4:{IOMMU_COMMAND:x}:0"


def edu_ready(mark: int = 0xDA7A) -> str:
    """The device may access memory, ``$bar`` is where its registers are, and ``page2`` has what it is to write."""
    function = 0x8000_0000 | EDU << 8
    return f"out:4:cf8:{function | 4:x} out:2:cfc:6 out:4:cf8:{function | 0x10:x} bar=in:4:cfc write:8:page2:{mark:x}"


def edu_transfer(to: str) -> str:
    """The SMI handler has the device copy 8 bytes from ``page2`` to memory; ``hit`` is the first command.

    Args:
        to: an argument of a step.
    """
    return (
        f"smm.write:8:$bar+{_EDU_SOURCE:x}:page2 smm.write:8:$bar+{_EDU_DESTINATION:x}:{_EDU_BUFFER:x} "
        f"smm.write:8:$bar+{_EDU_COUNT:x}:{_WORD:x} hit=smm.write:8:$bar+{_EDU_COMMAND:x}:{_EDU_RUN:x} "
        f"watch:page2:{_EDU_READS:x} "
        f"smm.write:8:$bar+{_EDU_SOURCE:x}:{_EDU_BUFFER:x} smm.write:8:$bar+{_EDU_DESTINATION:x}:{to} "
        f"smm.write:8:$bar+{_EDU_COMMAND:x}:{_EDU_RUN | _EDU_TO_MEMORY:x} watch:page2:{_EDU_READS:x}"
    )


def decoded() -> str:
    """Have `EDU` answer in memory, read its identification there, and leave port CF8H at its BAR 0.

    Labels: ``command`` and ``bar`` as they were, ``control`` for the identification.
    """
    return (
        f"out:4:cf8:8000{EDU:x}{_COMMAND} command=in:2:cfc out:2:cfc:$command&fffd+{_MEMORY_DECODING:x} "
        f"out:4:cf8:8000{EDU:x}10 bar=in:4:cfc control=read:4:$bar"
    )


def put_back() -> str:
    """Read BAR 0 of `EDU` as the label ``at``, then undo that it was moved and what `decoded` did."""
    return f"out:4:cf8:8000{EDU:x}10 at=in:4:cfc out:4:cfc:$bar out:4:cf8:8000{EDU:x}{_COMMAND} out:2:cfc:$command"


def memory_list(base: str, length: int = 0x1000) -> str:
    """Write a list of resources that names one range of memory to ``page2``.

    Args:
        base: an argument of a step: a name or a hexadecimal number.
        length: bytes.
    """
    header = MEMORY | _MEMORY_BYTES << 32
    return (
        f"write:8:page2:{header:x} write:8:page2+8:{base} write:8:page2+10:{length:x} write:8:page2+18:{_ALL:x} "
        f"write:8:page2+20:{END | _END_BYTES << 32:x} write:8:page2+28:0"
    )


def forged_record(by: str, source: str = "STM") -> str:
    """A line as the STM writes it, or another writer of records."""
    return f"{source}: ev=forged t=1 by={by}\n"


def text(place: str, words: str) -> str:
    """Write ASCII text to memory.

    Args:
        place: an argument of a step.
    """
    data = words.encode("ascii")
    data += bytes(-len(data) % _WORD)
    chunks = [int.from_bytes(data[at : at + _WORD], "little") for at in range(0, len(data), _WORD)]
    return " ".join(f"write:8:{place}+{at * _WORD:x}:{chunk:x}" for at, chunk in enumerate(chunks))
