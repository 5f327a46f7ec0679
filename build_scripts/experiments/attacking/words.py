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
