# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every pointer of VMX at every kind of place that is no good for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.machine import vmcs_batch as b
from tests.machine.vmcs_batch import Capabilities, Kind, Mode, Operation


def places(caps: Capabilities) -> dict[str, int]:
    """Pages by what is there; the image opens those of the PCI bus."""
    return {
        "page-0": 0,
        "local-apic": 0xFEE00000,
        "ioapic": 0xFEC00000,
        "hpet": 0xFED00000,
        "registers-of-a-pci-function": 0xE0000000,
        "memory-of-a-pci-function": 0xE1000000,
        "pci-configuration-space": 0xB0000000,
        "nothing": 0x80000000,
        "rom": 0xFFFE0000,
        "flash": 0xFFFDE000,
        "rom-below-1-mib": 0xE0000,
        "tseg": 0x3800000,
        "legacy-smram": 0xA0000,
        "last-page-of-ram": 0x3FFF000,
        "last-page-below-4-gib": 0xFFFFF000,
        "4-gib": 0x100000000,
        "last-page-of-the-width": (1 << caps.width) - 0x1000,
    }


def instructions(caps: Capabilities) -> Iterator[Operation]:
    """VMXON, VMPTRLD and VMCLEAR there, and operands of VMX instructions."""
    for name, place in places(caps).items():
        yield Operation(f"vmxon-{name}", Kind.VMXON, ((0, place),), "vmxon-invalid")
        yield Operation(f"vmptrld-{name}", Kind.VMPTRLD, ((0, place),), "vmptrld-fail-11")
        yield Operation(f"vmclear-{name}", Kind.VMCLEAR, ((0, place),), "vmclear-succeeds")
        yield Operation(f"operand-{name}", Kind.OPERAND, ((0, place + 0xF0),))
        yield Operation(f"operand-across-{name}", Kind.OPERAND, ((0, place + 0xFFC),))
    yield Operation("current-vmcs-shadowed", Kind.SHADOWED, (), "vmlaunch-fail-7")


def _with(caps: Capabilities, writes: dict[int, int], program: int, ept: bool = False) -> dict[int, int]:
    return b.base(caps, Mode.LONG, program, ept) | writes


def areas(caps: Capabilities) -> Iterator[Operation]:
    """Bitmaps, MSR areas, virtual-APIC page, APIC-access page, link pointer."""
    proc = b.base(caps)[b.PROC]
    bitmaps = proc & ~b.VMX_CPU_UNCONDITIONAL_IO | b.VMX_CPU_IO_BITMAPS | b.VMX_CPU_MSR_BITMAPS
    for name, place in places(caps).items():
        for other in (b.IO_A, place):
            fields = {b.PROC: bitmaps, b.IO_BITMAP_A: place, b.IO_BITMAP_B: other, b.MSR_BITMAPS: b.MSR_BITMAP}
            yield b.entry(f"io-bitmap-{name}", _with(caps, fields, b.PORTS))
        for msr in (0x10, 0x780, 0xC0000080, 0xC0000780):
            fields = {b.PROC: bitmaps, b.IO_BITMAP_A: b.IO_A, b.IO_BITMAP_B: b.IO_B, b.MSR_BITMAPS: place, b.RCX: msr}
            yield b.entry(f"msr-bitmap-{name}-{msr:x}", _with(caps, fields, b.MSR))
        for count in (1, 3, 256):
            for kind, address, counter in (
                ("entry-load", b.ENTRY_LOAD, b.ENTRY_LOAD_COUNT),
                ("exit-store", b.EXIT_STORE, b.EXIT_STORE_COUNT),
                ("exit-load", b.EXIT_LOAD, b.EXIT_LOAD_COUNT),
            ):
                fields = {address: place, counter: count}
                if place + 16 * count > 1 << caps.width:
                    yield b.entry(f"{kind}-{name}-{count}", _with(caps, fields, b.PLAIN), "fail-7")
                elif kind == "entry-load" or count == 1:  # each abort costs a new machine
                    yield b.entry(f"{kind}-{name}-{count}", _with(caps, fields, b.PLAIN))
        shadow = {b.PROC: proc | b.VMX_CPU_TPR_SHADOW, b.VIRTUAL_APIC: place}
        yield b.entry(f"virtual-apic-{name}", _with(caps, shadow, b.CONTROL))
        access = {b.PROC2: b.VMX_CPU2_APIC_ACCESSES, b.APIC_ACCESS: place, b.RBX: place + 0x80}
        yield b.entry(f"apic-access-{name}", _with(caps, access, b.MEMORY))
        yield b.entry(f"apic-access-fetch-{name}", _with(caps, access, b.JUMP))
        yield b.entry(f"apic-access-and-virtual-apic-{name}", _with(caps, shadow | access, b.MEMORY))
        to_place = {b.PROC2: b.VMX_CPU2_APIC_ACCESSES, b.APIC_ACCESS: b.APIC_PAGE, b.RBX: b.APIC_PAGE + 0x80}
        yield b.entry(f"tpr-in-{name}", _with(caps, shadow | to_place, b.MEMORY))
        if place + 0x80 >= 0x100000000 or place == 0:
            continue
        yield b.entry(f"link-{name}", _with(caps, {b.LINK: place}, b.PLAIN), "entry-33-4")
    for name, place in places(caps).items():
        if place >> 32 or place == 0:
            yield b.entry(f"link-{name}", _with(caps, {b.LINK: place}, b.PLAIN), "entry-33-4")


_EPT_LEVELS = ((4, b.EPT4, "pml4e"), (3, b.EPT3, "pdpte"), (2, b.EPT2 + 8 * (b.AREA >> 21), "pde"), (1, b.EPT1, "pte"))
_LEVELS = ((4, b.PML4, "pml4e"), (3, b.PDPT, "pdpte"), (2, b.PD + 8 * (b.AREA >> 21), "pde"), (1, b.PT, "pte"))


# 8-byte words that are read from a clock: the HPET's counter, the local APIC's current count.
_CLOCKS = (("hpet", 0xFED00000, 0xF0 // 8), ("local-apic", 0xFEE00000, 0x390 // 8))


def clocks(caps: Capabilities) -> Iterator[Operation]:
    """Tables, bitmaps and lists whose very entry is a clock: QEMU reads it where instructions are counted."""
    page = b.PT + 8 * 18  # the guest's MSR_BITMAP page
    for name, place, index in _CLOCKS:
        levels = (
            ("pdpte", b.PML4 + 8, 1 << 39 | index << 30),
            ("pde", b.PDPT + 8 * 5, 5 << 30 | index << 21),
            ("pte", b.PD + 8 * 100, 100 << 21 | index << 12),
        )
        nested_levels = (
            ("pdpte", b.EPT4 + 8, 1 << 39 | index << 30),
            ("pde", b.EPT3 + 8, 1 << 30 | index << 21),
            ("pte", b.EPT2 + 8 * 100, 100 << 21 | index << 12),
        )
        for program in (b.MEMORY, b.JUMP):
            # Without EPT the counter that runs would choose a page of the host's for the guest to write to.
            for nested in (True,) if name == "hpet" else (False, True):
                for text, address, linear in levels:
                    fields = _with(caps, {address: place | 7, b.RBX: linear}, program, nested)
                    yield b.entry(f"clock-{text}-{name}", fields)
            for dirty in (0, b.EPTP_DIRTY):
                for text, address, physical in nested_levels:
                    there = {b.EPTP: b.EPT4 | b.EPTP_4_LEVELS_WB | dirty, address: place | 7, page: physical | 7}
                    made = b.entry(
                        f"clock-ept-{text}-{name}", _with(caps, there | {b.RBX: b.MSR_BITMAP}, program, True)
                    )
                    # The counter that runs may choose a page of the host's, which then dies of what it asked for.
                    yield replace(made, may_end_host=name == "hpet")
        for kind, address, counter in (
            ("entry-load", b.ENTRY_LOAD, b.ENTRY_LOAD_COUNT),
            ("exit-store", b.EXIT_STORE, b.EXIT_STORE_COUNT),
            ("exit-load", b.EXIT_LOAD, b.EXIT_LOAD_COUNT),
        ):
            yield b.entry(f"clock-{kind}-{name}", _with(caps, {address: place + 8 * index, counter: 1}, b.PLAIN))
        proc = b.base(caps)[b.PROC] & ~b.VMX_CPU_UNCONDITIONAL_IO | b.VMX_CPU_IO_BITMAPS | b.VMX_CPU_MSR_BITMAPS
        for msr in (64 * index, 0xC0000000 + 64 * index - 0x2000):
            fields = {b.PROC: proc, b.IO_BITMAP_A: place, b.IO_BITMAP_B: place, b.MSR_BITMAPS: place, b.RCX: msr}
            yield b.entry(f"clock-msr-bitmap-{name}", _with(caps, fields, b.MSR))


def ept(caps: Capabilities) -> Iterator[Operation]:
    """The EPT pointer, entries of every level, the list of EPT pointers."""
    for name, place in places(caps).items():
        for dirty in (0, b.EPTP_DIRTY):
            flags = b.EPTP_4_LEVELS_WB | dirty
            for mode in (Mode.LONG, Mode.FLAT_32, Mode.REAL):
                fields = b.base(caps, mode, b.PLAIN, True) | {b.EPTP: place | flags}
                yield b.entry(f"eptp-{name}-{mode.name}", fields)
            for level, address, text in _EPT_LEVELS:
                entries = (place | 7, place | 0x87 | 6 << 3) if level > 1 else (place | 0x37, place | 0x31)
                for value in entries:
                    fields = _with(caps, {b.EPTP: b.EPT4 | flags, address: value}, b.PLAIN, True)
                    yield b.entry(f"ept-{text}-{name}", fields)
            # A page of data or code there, by way of EPT.
            used = {b.EPTP: b.EPT4 | flags, b.EPT1 + 8 * 18: place | 7, b.RBX: b.MSR_BITMAP + 0xF0}
            yield b.entry(f"ept-data-{name}", _with(caps, used, b.MEMORY, True))
            yield b.entry(f"ept-code-{name}", _with(caps, used, b.JUMP, True))
        if caps.functions:
            fields = _with(caps, {b.VM_FUNCTIONS: 1, b.EPTP_LIST_FIELD: place}, b.VMX, True)
            yield b.entry(f"eptp-list-{name}", fields | {b.PROC2: fields[b.PROC2] | b.VMX_CPU2_VMFUNC})
            fields |= {b.EPTP_LIST_FIELD: b.EPTP_LIST, b.EPTP_LIST: place | b.EPTP_4_LEVELS_WB}
            yield b.entry(f"eptp-in-list-{name}", fields | {b.PROC2: fields[b.PROC2] | b.VMX_CPU2_VMFUNC})


def tables(caps: Capabilities) -> Iterator[Operation]:
    """The guest's CR3, its paging structures, descriptor tables and TSS."""
    for name, place in places(caps).items():
        for nested in (False, True):
            for mode in (Mode.LONG, Mode.COMPATIBILITY, Mode.PAE, Mode.PAGED_32):
                fields = b.base(caps, mode, b.PLAIN, nested) | {b.CR3: place}
                if mode < Mode.PAE or not place >> 32:
                    yield b.entry(f"cr3-{name}-{mode.name}", fields)
            for level, address, text in _LEVELS:
                yield b.entry(f"{text}-{name}", _with(caps, {address: place | 7}, b.PLAIN, nested))
                if 1 < level < 4:
                    yield b.entry(f"large-{text}-{name}", _with(caps, {address: place | 0xE7}, b.PLAIN, nested))
            data = {b.PT + 8 * 18: place | 7, b.RBX: b.MSR_BITMAP + 0xF0}
            for program in (b.MEMORY, b.JUMP):
                yield b.entry(f"memory-{name}", _with(caps, data, program, nested))
            for exceptions in (0, 0xFFFFFFFF):
                there = {
                    b.EXCEPTIONS: exceptions,
                    b.IDTR_BASE: place,
                    b.IDTR_LIMIT: 0xFFF,
                    b.GDTR_BASE: place,
                    b.GDTR_LIMIT: 0xFFFF,
                    b.BASES + 2 * b.TR: place,
                    b.RSP: place + 0xF8,
                }
                for program in (b.SOFTWARE, b.EVENTS, b.SYSTEM):
                    yield b.entry(f"descriptor-tables-{name}", _with(caps, there, program, nested))
                yield b.entry(f"inject-{name}", _with(caps, there | {b.ENTRY_INTR: 0x80000020}, b.PLAIN, nested))
                low = {key: value & 0xFFFFFFFF for key, value in there.items()}
                fields = b.base(caps, Mode.PAGED_32, b.SOFTWARE, nested) | low
                yield b.entry(f"descriptor-tables-32-{name}", fields)


GROUPS = {"instructions": instructions, "areas": areas, "clocks": clocks, "ept": ept, "tables": tables}
