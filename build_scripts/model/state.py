# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a logical processor, a VMCS and MSEG hold, as far as the rules of the dual-monitor treatment need it.

A pointer is the name of a region (``G``), of a place beside one (``G+1``, not aligned; ``G+wide``, beyond the
physical-address width), or None: all ones, which is also what VMPTRST stores without a current VMCS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

Pointer = str | None

VMXON_REGION = "V"
NO_REVISION = "Z"  # a page of zeros: no VMCS revision identifier
IN_SMRAM = frozenset("XYS")
SMBASE, OTHER_SMBASE = 0x30000, 0x50000
MSEG = 0x3E00000
MSEG_REVISION = 0

BLOCKED_BY_SMI, BLOCKED_BY_NMI = 1 << 2, 1 << 3
ACTIVE, WAIT_FOR_SIPI = 0, 3
INJECT_MTF, INJECT_NMI, INJECT_RESERVED = 0x8000_0700, 0x8000_0202, 0x8000_0102


class EndsHere(Exception):
    """Behind this operation no program runs any more, or the manual does not say what happens."""


class Mode(StrEnum):
    """Relation to VMX operation."""

    OFF = "outside VMX operation"
    ROOT = "VMX root operation"
    GUEST = "VMX non-root operation"


class How(StrEnum):
    """How a program gets to know that it runs."""

    DONE = "done"  # its instruction is complete
    RESUMED = "resumed"  # an instruction of an earlier operation is complete
    START = "start"  # first instruction of a guest
    SMI = "smi"  # first instruction of the SMI handler
    EXIT = "exit"  # first instruction behind a VM exit
    ACTIVATION = "activation"  # first instruction of the STM
    START_UP = "start-up"  # first instruction that a start-up IPI names


@dataclass(frozen=True)
class Context:
    """RIP, RSP and whatever else belongs to a program: all that software sees of it is who goes on, and how.

    in_nmi: an NMI has been delivered and the first instruction of its handler is next.
    """

    program: str
    how: How
    in_nmi: bool = False

    def suspended(self) -> Context:
        """As it will go on once it comes back."""
        return Context(self.program, How.RESUMED, self.in_nmi) if self.how is How.DONE else self


@dataclass
class Vmcs:
    """A VMCS that is complete and legal but for what operations write into it.

    Undefined fields are None.  Of the VM-entry controls only "entry to SMM" and "deactivate dual-monitor treatment"
    are told apart; of VM-exit and pin-based controls whether their reserved bits are as the processor demands.
    """

    guest: Context
    host: str
    launched: bool = False
    executive: Pointer = VMXON_REGION
    link: Pointer = None
    to_smm: bool = False
    deactivate: bool = False
    exit_controls_legal: bool = True
    pin_controls_legal: bool = True
    injection: int = 0
    protected: bool = True  # CR0.PE of the guest
    interruptibility: int = 0
    activity: int = 0
    smbase: int | None = SMBASE
    reason: int = 0
    qualification: frozenset[int] = frozenset({0})
    length: int | None = 0
    interruption: int = 0
    error: frozenset[int] = frozenset({0})

    @property
    def entry(self) -> tuple[bool, bool]:
        """VM-entry controls 10 and 11."""
        return self.to_smm, self.deactivate

    @entry.setter
    def entry(self, value: tuple[bool, bool]) -> None:
        self.to_smm, self.deactivate = value


def templates() -> dict[str, Vmcs]:
    """The VMCSs at the beginning: who enters with them, and who runs behind their VM exits."""

    def vmcs(guest: str, host: str, *, to_smm: bool = False, deactivate: bool = False) -> Vmcs:
        blocked = BLOCKED_BY_SMI if to_smm else 0
        start = Context(guest, How.START)
        return Vmcs(start, host, to_smm=to_smm, deactivate=deactivate, interruptibility=blocked)

    return {
        "G": vmcs("guest", "exec"),
        "H": vmcs("guest-2", "exec"),
        "U": vmcs("guest-2", "exec"),
        "A": vmcs("exec", "stm"),
        "X": vmcs("exec", "stm"),
        "Y": vmcs("exec", "stm"),
        "S": vmcs("smm-guest", "stm", to_smm=True),
        "W": vmcs("exec", "stm", deactivate=True),
    }


@dataclass(frozen=True)
class SavedByDefault:
    """What SMI delivery keeps inside the processor, and in SMRAM, until RSM (DM-DEF-02, DM-DEF-03, DM-DEF-04)."""

    mode: Mode
    current: Pointer
    context: Context
    nmi_blocked: bool
    mtf_pending: bool


@dataclass
class MsegHeader:
    """What the processors of a platform share; the rest of MSEG never changes."""

    revision: int = MSEG_REVISION
    features: int = 1


@dataclass
class State:
    """A logical processor, and the memory that matters to it.

    SMBASE counts from the processor's own place: each has SMRAM of its own.
    number: 0 is the bootstrap processor.
    """

    number: int = 0
    mode: Mode = Mode.OFF
    smm: bool = False
    dual_monitor: bool = False
    context: Context = Context("exec", How.DONE)
    vmxon: Pointer = None
    current: Pointer = None
    transfer: Pointer = None
    smbase: int = SMBASE
    monitor_ctl: int = 0
    header: MsegHeader = field(default_factory=MsegHeader)
    smi_blocked: bool = False
    smi_pending: bool = False
    nmi_blocked: bool = False
    nmi_pending: bool = False
    init_pending: bool = False
    init_exited: bool = False  # and no guest has been entered since
    mtf_pending: bool = False
    activity: int = ACTIVE
    saved: SavedByDefault | None = None
    nmis: int = 0
    regions: dict[str, Vmcs] = field(default_factory=templates)

    @property
    def vmcs(self) -> Vmcs | None:
        """The current VMCS."""
        return self.regions[self.current] if self.current is not None else None

    @property
    def waits(self) -> bool:
        """Whether no program runs until a start-up IPI comes, in VMX non-root operation or outside VMX operation."""
        return self.activity == WAIT_FOR_SIPI

    def holds_revision(self, pointer: str) -> bool:
        """Whether the dword there is the VMCS revision identifier; SMRAM reads as all ones outside SMM (DM-INT-08)."""
        return pointer != NO_REVISION and (pointer not in IN_SMRAM or self.smm)


def legal(pointer: Pointer) -> bool:
    """Whether an address is aligned to 4 KBytes and within the physical-address width."""
    return pointer is not None and "+" not in pointer
