# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Random VMCSs: a correct guest with a few things wrong, decided by integers that Hypothesis can shrink."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.machine import hostile
from tests.machine import vmcs_batch as b
from tests.machine.vmcs_batch import Capabilities, Mode, Operation

Fields = dict[int, int]

_WIDTH = {0: 16, 1: 64, 2: 32, 3: 64}
_BOUNDARIES = (0, 1, 2, 0x7FFF, 0xFFF, 0x1000, 1 << 31, (1 << 32) - 1, 1 << 47, (1 << 47) - 1, 1 << 63, (1 << 64) - 1)
_CONTROLS = {b.PIN: "pin", b.PROC: "proc", b.PROC2: "proc2", b.EXIT: "exit", b.ENTRY: "entry"}
_POINTERS = (
    *(b.IO_BITMAP_A, b.IO_BITMAP_B, b.MSR_BITMAPS, b.EXIT_STORE, b.EXIT_LOAD, b.ENTRY_LOAD, b.EXECUTIVE),
    *(b.VIRTUAL_APIC, b.APIC_ACCESS, b.EPTP, b.EPTP_LIST_FIELD, b.LINK, b.CR3, b.PDPTE0, b.PDPTE0 + 6),
    *(b.GDTR_BASE, b.IDTR_BASE, b.RSP, b.BASES + 2 * b.TR, b.BASES + 2 * b.LDTR, b.BASES + 2 * b.FS),
)
# Tables of the guest and of EPT, the bitmaps and the MSR list: words that a hostile guest writes.
_MEMORY = tuple(
    page + 8 * index
    for page in (b.PML4, b.PDPT, b.PD, b.PT, b.PD3, b.EPT4, b.EPT3, b.EPT2, b.EPT1, b.EPT2_MMIO, b.PAE_PDPT, b.PD32)
    for index in (0, 1, 2, 3, 18, b.AREA >> 21)
)
_MEMORY += tuple(b.MSRS + 8 * n for n in range(8)) + tuple(b.GDT + 8 * n for n in range(8)) + (b.VAPIC + 0x80,)
# Type and vector of events that may be injected.
_EVENTS = ((0, 32), (0, 255), (2, 2), (3, 1), (3, 6), (3, 13), (3, 14), (3, 8), (4, 3), (5, 1), (6, 3), (7, 0))
_MSRS = (0x10, 0x1B, 0x174, 0x277, 0x480, 0x800, 0x9B, 0x9E, 0xC0000080, 0xC0000082, 0xC0000100, 0xFFFFFFFF)

# Whatever the host has after a VM exit is the image's own state, so only what VM entry must refuse goes there.
_HOST = (
    *((0x0C00 + 2 * n, 1 << bit) for n in range(7) for bit in range(3)),
    *((0x0C00 + 2 * n, 0) for n in (1, 6)),
    *((0x6C06 + 2 * n, 1 << 47) for n in range(7)),
    *((0x6C00, 0), (0x6C00, 1 << 63), (0x6C04, 0), (0x6C04, 1 << 13), (0x6C04, 1 << 63), (0x6C02, 1 << 60)),
    *((0x2C02, 0), (0x2C02, 1 << 63), (0x2C02, 0x100), (0x2C00, 0x0202020202020202), (0x2C00, 0xFF)),
)

_GUEST = (
    *(b.CR0, b.CR4, b.DR7, b.RFLAGS, b.RIP, b.RSP, b.EFER, b.PAT, b.DEBUGCTL, b.INTERRUPTIBILITY, b.ACTIVITY),
    *(b.PENDING_DEBUG, b.SMBASE, b.VPID, b.GDTR_LIMIT, b.IDTR_LIMIT, b.CR0_MASK, b.CR4_MASK, b.TPR_THRESHOLD),
    *(b.EXCEPTIONS, b.PF_MASK, b.PF_MATCH, b.CR3_TARGETS, b.EXIT_STORE_COUNT, b.EXIT_LOAD_COUNT, b.ENTRY_LOAD_COUNT),
    *(b.ENTRY_INTR, b.ENTRY_ERROR, b.ENTRY_LENGTH, b.VM_FUNCTIONS, 0x6004, 0x6006, 0x6008, 0x4020, 0x4022, 0x2010),
    *(base + 2 * n for base in (b.LIMITS, b.RIGHTS, b.SELECTORS, b.BASES) for n in range(8)),
)


def _spoil(r: random.Random, old: int, width: int) -> int:
    choice = r.randrange(6)
    if choice == 0:
        return r.choice(_BOUNDARIES)
    if choice == 1:
        return r.getrandbits(width)
    if choice == 2:
        return old + r.choice((-1, 1, 8, 0x1000))
    value = old ^ 1 << r.randrange(width)
    return value ^ 1 << r.randrange(width) if choice == 3 else value


def _width(key: int) -> int:
    return 64 if key > 0xFFFF else _WIDTH[key >> 13]


def _control(r: random.Random, fields: Fields, caps: Capabilities) -> None:
    """Bits that the processor offers, or any bits."""
    key = r.choice(tuple(_CONTROLS))
    msr = getattr(caps, _CONTROLS[key])
    if r.randrange(8) == 0:
        fields[key] ^= 1 << r.randrange(32)
        return
    offered = [1 << n for n in range(32) if msr >> 32 >> n & 1 and not msr >> n & 1]
    for bit in r.sample(offered, min(len(offered), r.randint(1, 3))):
        fields[key] ^= bit
    if key == b.PROC and fields[key] & b.VMX_CPU_SECONDARY_CONTROLS == 0:
        fields[key] |= r.randrange(4) and b.VMX_CPU_SECONDARY_CONTROLS


def _pointer(r: random.Random, fields: Fields, caps: Capabilities) -> None:
    place = r.choice(list(hostile.places(caps).values()) + [b.AREA + r.randrange(b.PAGES) * b.PAGE])
    key = r.choice(_POINTERS + _MEMORY)
    low = {b.EPTP: b.EPTP_4_LEVELS_WB, b.RSP: 0x80}.get(key, r.choice((7, 0x37, 0xB7, 1)) if key in _MEMORY else 0)
    fields[key] = place | low | (r.randrange(8) == 0 and r.choice((1, 0x40, 0x80, 0x800)))


def _guest(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    key = r.choice(_GUEST)
    fields[key] = _spoil(r, fields.get(key, 0), _width(key))


def _memory(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    key = r.choice(_MEMORY)
    fields[key] = _spoil(r, b.word(key), 64)


def _event(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    """An event to be injected, mostly a legal one."""
    kind, vector = r.choice(_EVENTS)
    error = kind == 3 and vector in (8, 13, 14)
    fields[b.ENTRY_INTR] = 1 << 31 | kind << 8 | vector | error << 11
    fields[b.ENTRY_ERROR], fields[b.ENTRY_LENGTH] = 0, r.choice((1, 2, 15, 0))
    fields[b.IDTR_LIMIT] = r.choice((0, 0x3F, 0xFFF))


def _interrupts(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    """States in which events are held back, come at once or wait."""
    fields[b.RFLAGS] = 2 | r.choice((0, 1 << 8, 1 << 9, 1 << 16, 3 << 8))
    fields[b.INTERRUPTIBILITY] = r.choice((0, 1, 2, 4, 8))
    fields[b.ACTIVITY] = r.choice((0, 0, 1, 2))
    fields[b.PENDING_DEBUG] = r.choice((0, 1 << 14, 0x1001, 0xF))
    fields[b.EXCEPTIONS] = r.choice((0, 1 << 1, 0xFFFFFFFF))


def _msrs(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    """A list of MSRs for VM entry or VM exit."""
    address, counter = r.choice(
        (
            (b.ENTRY_LOAD, b.ENTRY_LOAD_COUNT),
            (b.ENTRY_LOAD, b.ENTRY_LOAD_COUNT),
            (b.EXIT_STORE, b.EXIT_STORE_COUNT),
            (b.EXIT_LOAD, b.EXIT_LOAD_COUNT),
        )
    )
    fields[address] = b.MSRS
    fields[counter] = r.choice((1, 2, 3, 4))
    if address == b.ENTRY_LOAD:
        for n in range(4):
            fields[b.MSRS + 16 * n] = r.choice(_MSRS) | (r.randrange(16) == 0) << 32
            if r.randrange(2):
                fields[b.MSRS + 16 * n + 8] = r.choice(_BOUNDARIES)


def _host(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    key, value = r.choice(_HOST)
    fields[key] = value


def _everything(r: random.Random, fields: Fields, _caps: Capabilities) -> None:
    """A 64-bit value as it comes, into any field of the guest or any pointer."""
    key = r.choice(_GUEST + _POINTERS)
    fields[key] = r.getrandbits(_width(key))


_MUTATIONS: tuple[Callable[[random.Random, Fields, Capabilities], None], ...] = (
    *(_control, _control, _control, _guest, _guest, _guest, _pointer, _pointer),
    *(_memory, _memory, _event, _event, _interrupts, _msrs, _host, _everything),
)


def _keep_alive(fields: Fields, caps: Capabilities) -> None:
    """What keeps the test itself going; none of it is about the machine.

    A guest that never leaves is stopped by the preemption timer; the host's
    own memory is out of a guest's reach unless EPT or paging lets it, hence
    no addresses that lead into the image; wait-for-SIPI has no way out here.
    """
    fields[b.PIN] |= caps.pin >> 32 & b.VMX_PIN_PREEMPTION_TIMER
    if fields.get(b.ACTIVITY, 0) == 3:
        fields[b.ACTIVITY] = 1
    if not caps.functions:
        fields.pop(b.VM_FUNCTIONS, None)
        fields.pop(b.EPTP_LIST_FIELD, None)


def operation(caps: Capabilities, name: str, start: int, seeds: Sequence[int]) -> Operation:
    """One entry: the base that `start` decides, then a mutation for each seed."""
    r = random.Random(start)
    mode = r.choice((Mode.LONG, Mode.LONG, *Mode))
    fields = b.base(caps, mode, r.randrange(b.LOOPING), r.randrange(4) > 0)
    fields |= {b.RCX: r.choice(_MSRS), b.RBX: r.choice((*hostile.places(caps).values(), b.STACK, b.VAPIC + 0x80))}
    fields |= {b.IO_BITMAP_A: b.IO_A, b.IO_BITMAP_B: b.IO_B, b.MSR_BITMAPS: b.MSR_BITMAP, b.VIRTUAL_APIC: b.VAPIC}
    fields |= {b.APIC_ACCESS: b.APIC_PAGE, b.EPTP_LIST_FIELD: b.EPTP_LIST, b.VPID: 1, b.EXIT_LOAD: b.MSRS}
    fields |= {b.EXIT_STORE: b.MSRS, b.ENTRY_LOAD: b.MSRS}
    if r.randrange(2):  # the guest handles its exceptions
        fields |= {b.EXCEPTIONS: 0, b.IDTR_LIMIT: 0x3FF}
    for seed in seeds:
        r = random.Random(seed)
        r.choice(_MUTATIONS)(r, fields, caps)
    _keep_alive(fields, caps)
    return b.entry(name, fields)


# What a VM exit reads from the VMCS and nobody has checked since VM entry, except where the host goes on.
_USED_BY_EXITS = (
    *(b.PIN, b.PROC, b.PROC2, b.EXIT, b.ENTRY, b.EXIT_STORE, b.EXIT_LOAD, b.EXIT_STORE_COUNT, b.EXIT_LOAD_COUNT),
    *(b.LINK, b.EPTP, b.VPID, b.EXECUTIVE, b.INTERRUPTIBILITY, b.ACTIVITY, b.TIMER),
    *(0x6C00, 0x6C04, 0x2C00, 0x2C02, 0x4C00, *range(0x0C00, 0x0C0E, 2), *range(0x6C06, 0x6C14, 2)),
)


def changed_under_the_guest(caps: Capabilities, number: int) -> Operation:
    """A guest that is let at its own VMCS and changes one field there before it exits."""
    r = random.Random(number)
    key = r.choice(_USED_BY_EXITS)
    window = b.AREA + 30 * b.PAGE
    fields = b.base(caps, Mode.LONG, b.STORE)
    fields |= {b.PT + 8 * 30: caps.region | 7, b.RBX: window + b.field_offset(key)}
    old = {0x6C00: caps.cr0, 0x6C04: caps.cr4, 0x2C02: 0x500}.get(key, fields.get(key, 0))
    fields[b.RCX] = _spoil(r, old, _width(key))
    return replace(b.entry(f"{number}: {key:#x} := {fields[b.RCX]:#x}", fields), may_end_host=True)
