# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Operations: what a sequence is made of, and how the image of the machine gets to know them."""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.model.state import MSEG, Pointer

# As the interpreter of the image encodes them, in bytes.
LENGTHS = {
    "vmxon": 5,
    "vmclear": 5,
    "vmptrld": 4,
    "vmptrst": 4,
    "vmread": 4,
    "vmwrite": 3,
    "vmlaunch": 3,
    "vmresume": 3,
    "vmcall": 3,
    "vmxoff": 3,
    "rsm": 2,
}
# OUT of a byte with an immediate operand to port B2H.
SMI_QUALIFICATION = 0x00B2_0040
FIELDS = {
    "executive": 0x200C,
    "link": 0x2800,
    "pin_controls_legal": 0x4000,
    "exit_controls_legal": 0x400C,
    "entry": 0x4012,
    "injection": 0x4016,
    "error": 0x4400,
    "reason": 0x4402,
    "interruptibility": 0x4824,
    "activity": 0x4826,
    "smbase": 0x4828,
}
POINTERS = frozenset({"executive", "link"})
# The start-up code is at 8000H.
SIPI_VECTOR = 8
HEADER = {"revision": MSEG, "features": MSEG + 4}


@dataclass(frozen=True)
class Operation:
    """One operation; which attributes mean something depends on its name.

    processor: whose program carries it out.
    other: of an IPI, whether it goes to the other processor.

    pointer: the operand of VMXON, VMCLEAR and VMPTRLD.
    field, value: of a VMREAD, a VMWRITE or a write to the MSEG header, in the model's terms.
    msr, number: of RDMSR, WRMSR and a write to the MSEG header.
    """

    name: str
    pointer: Pointer = None
    field: str = ""
    value: object = None
    msr: int = 0
    number: int = 0
    processor: int = 0
    other: bool = False

    def __str__(self) -> str:
        return f"processor {self.processor}: {self._text()}" if self.processor else self._text()

    def _text(self) -> str:
        if self.other:
            return f"{self.name} to the other processor"
        if self.name in ("vmxon", "vmclear", "vmptrld"):
            return f"{self.name} {self.pointer or 'ones'}"
        if self.name == "vmwrite":
            return f"vmwrite {self.field} {self.value if self.value is not None else 'ones'}"
        if self.name == "header":
            return f"header {self.field} {self.number:#x}"
        if self.name == "vmread":
            return f"vmread {self.field}"
        if self.name == "wrmsr":
            return f"wrmsr {self.msr:#x} {self.number:#x}"
        return f"rdmsr {self.msr:#x}" if self.name == "rdmsr" else self.name
