# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reference model of resource lists, written from the words of StmResourceDescriptor.h and StmApi.h.

It shares nothing with the C code: a profile is a set of places, a list is read by the structures of the header.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

PAGE = 0x1000
READ, WRITE, EXECUTE = 1, 2, 4
END, MEM, IO, MMIO, MSR, PCI, TRAPPED, ALL, REGISTER = range(9)
LENGTHS = {END: 16, MEM: 32, IO: 16, MMIO: 32, MSR: 32, TRAPPED: 16, ALL: 8, REGISTER: 32}
SUCCESS = 0
UNPROTECTABLE_RESOURCE, MALFORMED, OUT_OF_RESOURCES = 0x8001_0007, 0x8001_000D, 0x8001_0015
UNPROTECTABLE, UNSPECIFIED = 0x8001_0017, 0x8001_FFFF

Place = tuple[str, int, int]
"""Space, number (of a page, a port, a bit of an MSR, a byte of PCI configuration space), access."""

PCI_FUNCTION = 0x1000
SWITCHED_MSRS = (0x174, 0x175, 0x176, 0x1D9, 0x277, 0xC000_0080, 0xC000_0100, 0xC000_0101)
"""MSRs that VM entries and VM exits of the handler switch: a write of one is a write of all its bits."""
STEP_PORTS = (range(0xED, 0xF1), range(0x80ED, 0x80F1))
"""Where string instructions of the handler run before the STM does their access, and their twins: always open."""
Bridges = dict[tuple[int, int, int], int]
"""Bus, device and function of each bridge: its secondary bus."""


class Malformed(Exception):
    """A descriptor or a list that cannot be parsed."""


@dataclass(frozen=True)
class Limits:
    """What protection must respect."""

    bits: int
    tseg: range
    mseg: range
    ecam: range = range(0)
    bridges: Bridges = field(default_factory=dict)


@dataclass(frozen=True)
class Descriptor:
    """One that could be parsed."""

    type: int
    length: int
    offset: int
    ignored: bool
    returned: bool
    ranges: tuple[str, int, int, int] | None = None
    trapped: int = 0
    """READ for In, WRITE for Out, of a descriptor of trapped I/O."""
    register: tuple[int, int, int] | None = None
    """Number of a control register or an MSR, bits not to be read, bits not to be written."""
    continuation: int = 0
    originating: int = 0
    path: tuple[tuple[int, int], ...] = ()
    """(device, function) of each node, of a PCI descriptor; `ranges` is in its function then."""


def require(condition: bool) -> None:
    if not condition:
        raise Malformed


def accesses(mask: int) -> list[int]:
    return [one for one in (READ, WRITE, EXECUTE) if mask & one]


def named(kind: int, body: bytes, bits: int) -> tuple[str, int, int, int] | None:
    """(space, first, behind the last, accesses) that a descriptor's body names."""
    if kind in (MEM, MMIO):
        base, length, attributes, reserved = struct.unpack("<QQII", body)
        require(attributes >> 3 == 0 and reserved == 0)
        require(length > 0 and base + length <= 1 << bits)
        return "memory", base // PAGE, -(-(base + length) // PAGE), attributes
    if kind == IO:
        base, length, reserved = struct.unpack("<HHI", body)
        require(reserved == 0 and length > 0 and base + length <= 0x1_0000)
        return "io", base, base + length, READ | WRITE
    if kind == TRAPPED:
        base, length, flags, reserved = struct.unpack("<HHHH", body)
        require(flags >> 3 == 0 and reserved == 0 and length > 0 and base + length <= 0x1_0000)
        return "io", base, base + length, READ | WRITE
    if kind == MSR:
        index, flags, read, write = struct.unpack("<IIQQ", body)
        require(flags >> 1 == 0)
        return "msr", 64 * index, 64 * index + 64, READ * bool(read) | WRITE * bool(write)
    if kind == PCI:
        attributes, base, length, _bus, last = struct.unpack_from("<HHHBB", body)
        require(attributes >> 2 == 0 and length > 0 and base + length <= 0x1000)
        for node in range(last + 1):
            node_type, subtype, size, function, device = struct.unpack_from("<BBHBB", body, 8 + 6 * node)
            require((node_type, subtype, size) == (1, 1, 6) and function < 8 and device < 32)
        return "pci", base, base + length, attributes
    if kind == REGISTER:
        number, reserved, _read, _write = struct.unpack("<IIQQ", body)
        require(number < 5 and reserved == 0)
    return None


def parse_one(memory: bytes, offset: int, bits: int) -> Descriptor:
    """The descriptor at an offset."""
    require(len(memory) - offset >= 8)
    kind, length, flags = struct.unpack_from("<IHH", memory, offset)
    if kind == PCI:
        require(len(memory) - offset >= 22)
        wanted = 22 + 6 * memory[offset + 15]
    else:
        require(kind in LENGTHS)
        wanted = LENGTHS[kind]
    require(length == wanted and offset + length <= len(memory) and flags & 0x7FFE == 0)
    body = memory[offset + 8 : offset + length]
    ranges = named(kind, body, bits)
    continuation = struct.unpack("<Q", body)[0] if kind == END else 0
    trapped = body[4] & (READ | WRITE) if kind == TRAPPED else 0
    register = struct.unpack("<I4xQQ", body) if kind in (REGISTER, MSR) else None
    one = Descriptor(kind, length, offset, bool(flags >> 15), bool(flags & 1), ranges, trapped, register, continuation)
    if kind != PCI:
        return one
    nodes = [struct.unpack_from("<BB", body, 8 + 6 * node + 4) for node in range(body[7] + 1)]
    return replace(one, originating=body[6], path=tuple((device, function) for function, device in nodes))


def needed_bits(claim: Descriptor) -> tuple[int, int]:
    """Bits of a register that a claim of the firmware's keeps from being protected: for reads, for writes.

    To read one bit is to read the register; the bits that a write leaves alone may be protected.
    """
    assert claim.register is not None
    number, read, write = claim.register
    every = 2**64 - 1
    return every * bool(read), every * bool(write) if claim.type == MSR and number in SWITCHED_MSRS else write


def functions(one: Descriptor, bridges: Bridges) -> list[tuple[int, int, int]] | None:
    """Bus, device and function of each node of a path; None if one before the last is no bridge to a higher bus."""
    found: list[tuple[int, int, int]] = []
    bus = one.originating
    for place, (device, function) in enumerate(one.path):
        found.append((bus, device, function))
        if place < len(one.path) - 1:
            next_bus = bridges.get(found[-1], 0)
            if next_bus <= bus:
                return None
            bus = next_bus
    return found


def in_function(where: tuple[int, int, int], first: int, last: int, access: int) -> tuple[str, int, int, int]:
    """A range of configuration space."""
    start = ((where[0] * 32 + where[1]) * 8 + where[2]) * PCI_FUNCTION
    return "pci", start + first, start + last, access


def parse(page: bytes, bits: int) -> tuple[list[Descriptor], bool]:
    """The descriptors of a list up to its END, and whether it is one that a call accepts."""
    found: list[Descriptor] = []
    offset = 0
    while True:
        try:
            one = parse_one(page, offset, bits)
        except Malformed:
            return found, False
        if one.type == END:
            good = one.continuation == 0 and not any(each.returned for each in [*found, one])
            return found, good
        found.append(one)
        offset += one.length


Watched = dict[str, list[int]]
"""Numbers of each space, sorted: everything is too much to count, and these stand for it."""


@dataclass
class Profile:
    """What is protected.

    Attributes:
        watched: the places that are looked at; None for all that are named one by one.
    """

    places: set[Place] = field(default_factory=set)
    watched: Watched | None = None

    def of(self, ranges: tuple[str, int, int, int]) -> set[Place]:
        """The places of a range."""
        space, first, last, access = ranges
        numbers: Iterable[int] = range(first, last)
        if self.watched is not None:
            known = self.watched[space]
            numbers = known[bisect_left(known, first) : bisect_left(known, last)]
        return {(space, number, each) for number in numbers for each in accesses(access)}

    def looked_at(self, places: set[Place]) -> set[Place]:
        """Those of them that are watched."""
        if self.watched is None:
            return places
        known = {space: set(numbers) for space, numbers in self.watched.items()}
        return {place for place in places if place[1] in known[place[0]]}

    def everything(self, limits: Limits, claims: list[Descriptor]) -> set[Place] | None:
        """What the firmware does not need; None if it claims all there is."""
        if any(claim.type == ALL and not claim.ignored for claim in claims):
            return None
        assert self.watched is not None
        found: set[Place] = set()
        for space, numbers in self.watched.items():
            if space == "register":
                continue  # the handler's own
            there_are = (READ, WRITE, EXECUTE) if space == "memory" else (READ, WRITE)
            found |= {
                (space, number, access)
                for number in numbers
                for access in there_are
                if not self.claimed((space, number, number + 1, access), limits, claims)
            }
        return found

    def apply(self, page: bytes, limits: Limits, claims: list[Descriptor], protect: bool) -> tuple[int, list[bool]]:
        """A call: its status, and ReturnStatus of each descriptor before END."""
        descriptors, good = parse(page, limits.bits)
        nothing = [False] * len(descriptors)
        if not good:
            return MALFORMED, nothing
        granted: list[bool] = []
        places = set(self.places)
        for one in descriptors:
            if one.ignored:
                granted.append(False)
                continue
            if one.type == ALL:
                all_of_it = self.everything(limits, claims) if protect else set()
                granted.append(all_of_it is not None)
                places = places | (all_of_it or set()) if protect else set()
                continue
            if one.type in (REGISTER, MSR):
                bits = self.register_bits(one, claims, protect)
                granted.append(bits is not None)
                bits = self.looked_at(bits or set())
                places = places | bits if protect else places - bits
                continue
            ranges = self.targets(one, limits)
            if one.type == TRAPPED:
                assert ranges is not None
                ranges = [(*ranges[0][:3], one.trapped)]
            if ranges is None:
                granted.append(not protect)
                continue
            if protect:
                granted.append(not any(self.claimed(each, limits, claims) for each in ranges))
                if granted[-1]:
                    places |= set().union(*(self.of(each) for each in ranges))
                continue
            if self.touches(ranges[-1], limits.mseg):
                return UNSPECIFIED, nothing
            granted.append(True)
            places -= self.of(ranges[-1])
        self.places = places
        denied = any(not grant and not one.ignored for grant, one in zip(granted, descriptors, strict=True))
        return (UNPROTECTABLE_RESOURCE if denied else SUCCESS), granted

    @staticmethod
    def register_bits(one: Descriptor, claims: list[Descriptor], protect: bool) -> set[Place] | None:
        """Bits of a register; None if the processor tells nobody of the access, or the firmware needs any."""
        assert one.register is not None
        number, read, write = one.register
        if protect:
            # CR2; reads of CR0 and CR4.
            if one.type == REGISTER and (number == 1 or (read and number in (0, 3))):
                return None
            for claim in claims:
                if claim.ignored or (read or write) == 0:
                    continue
                if claim.type == ALL:
                    return None
                if claim.register is None or claim.type != one.type or claim.register[0] != number:
                    continue
                needs_read, needs_write = needed_bits(claim)
                if needs_read & read or needs_write & write:
                    return None
        space = "register" if one.type == REGISTER else "msr"
        masks = ((READ, read), (WRITE, write))
        return {(space, 64 * number + bit, access) for access, mask in masks for bit in range(64) if mask >> bit & 1}

    @staticmethod
    def targets(one: Descriptor, limits: Limits) -> list[tuple[str, int, int, int]] | None:
        """What a descriptor names, and before it what must stay for it to do so; None if it leads nowhere."""
        assert one.ranges is not None
        if one.type != PCI:
            return [one.ranges]
        path = functions(one, limits.bridges)
        if path is None:
            return None
        _space, first, last, access = one.ranges
        numbers = [in_function(bridge, 0x18, 0x1B, WRITE) for bridge in path[:-1]]
        return [*numbers, in_function(path[-1], first, last, access)]

    @staticmethod
    def touches(ranges: tuple[str, int, int, int], area: range) -> bool:
        space, first, last, _access = ranges
        return space == "memory" and first * PAGE < area.stop and last * PAGE > area.start

    def claimed(self, ranges: tuple[str, int, int, int], limits: Limits, claims: list[Descriptor]) -> bool:
        """Whether the handler needs any of it; TSEG and the ports of string instructions it always does."""
        if self.touches(ranges, limits.tseg):
            return True
        space, first, last, access = ranges
        if space == "io" and access and any(first < ports.stop and last > ports.start for ports in STEP_PORTS):
            return True
        for claim in claims:
            if claim.ignored:
                continue
            if claim.type == ALL:
                return True
            if claim.type == MSR and space == "msr":
                assert claim.ranges is not None
                bits = range(max(first, claim.ranges[1]), min(last, claim.ranges[2]))
                masks = zip((READ, WRITE), needed_bits(claim), strict=True)
                if any(access & kind and mask >> bit % 64 & 1 for kind, mask in masks for bit in bits):
                    return True
                continue
            targets = self.targets(claim, limits) if claim.ranges else None
            needed = targets[-1] if targets else None
            if needed is not None and needed[0] == "memory" and space == "pci" and limits.ecam:
                # Configuration space is memory, too.
                begin, end = (each * PAGE - limits.ecam.start for each in needed[1:3])
                needed = ("pci", begin, end, needed[3])
            if needed is not None and needed[0] == space:
                _other, begin, end, wanted = needed
                if begin < last and first < end and wanted & access:
                    return True
            if claim.type == PCI and space == "io" and access and first < 0xD00 and last > 0xCF8:
                return True
            if claim.type == PCI and space == "memory" and targets and limits.ecam:
                page = limits.ecam.start // PAGE + targets[-1][1] // PCI_FUNCTION
                if first <= page < last and targets[-1][3] & access:
                    return True
        return False
