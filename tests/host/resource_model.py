# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reference model of resource lists, written from the words of StmResourceDescriptor.h and StmApi.h.

It shares nothing with the C code: a profile is a set of places, a list is read by the structures of the header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

PAGE = 0x1000
READ, WRITE, EXECUTE = 1, 2, 4
END, MEM, IO, MMIO, MSR, PCI, TRAPPED, ALL, REGISTER = range(9)
LENGTHS = {END: 16, MEM: 32, IO: 16, MMIO: 32, MSR: 32, TRAPPED: 16, ALL: 8, REGISTER: 32}
SUCCESS = 0
UNPROTECTABLE_RESOURCE, MALFORMED, OUT_OF_RESOURCES = 0x8001_0007, 0x8001_000D, 0x8001_0015
UNPROTECTABLE, UNSPECIFIED = 0x8001_0017, 0x8001_FFFF

Place = tuple[str, int, int]
"""Space, number (of a page, a port, an MSR), access."""


class Malformed(Exception):
    """A descriptor or a list that cannot be parsed."""


@dataclass(frozen=True)
class Limits:
    """What protection must respect."""

    bits: int
    tseg: range
    mseg: range


@dataclass(frozen=True)
class Descriptor:
    """One that could be parsed."""

    type: int
    length: int
    offset: int
    ignored: bool
    returned: bool
    places: frozenset[Place] = frozenset()
    ranges: tuple[str, int, int, int] | None = None
    continuation: int = 0


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
        return "msr", index, index + 1, READ * bool(read) | WRITE * bool(write)
    if kind == PCI:
        attributes, base, length, _bus, last = struct.unpack_from("<HHHBB", body)
        require(attributes >> 2 == 0 and length > 0 and base + length <= 0x1000)
        for node in range(last + 1):
            node_type, subtype, size, function, device = struct.unpack_from("<BBHBB", body, 8 + 6 * node)
            require((node_type, subtype, size) == (1, 1, 6) and function < 8 and device < 32)
        return "io", 0xCF8, 0xD00, READ | WRITE
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
    return Descriptor(
        kind, length, offset, bool(flags >> 15), bool(flags & 1), ranges=ranges, continuation=continuation
    )


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


@dataclass
class Profile:
    """What is protected."""

    places: set[Place] = field(default_factory=set)

    @staticmethod
    def of(one: Descriptor) -> set[Place]:
        assert one.ranges is not None
        space, first, last, access = one.ranges
        return {(space, number, each) for number in range(first, last) for each in accesses(access)}

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
            if one.type not in (MEM, MMIO, IO, MSR):
                granted.append(not protect)
                continue
            assert one.ranges is not None
            if protect:
                granted.append(not self.claimed(one, limits, claims))
                places |= self.of(one) if granted[-1] else set()
                continue
            if self.touches(one, limits.mseg):
                return UNSPECIFIED, nothing
            granted.append(True)
            places -= self.of(one)
        self.places = places
        denied = any(not grant and not one.ignored for grant, one in zip(granted, descriptors, strict=True))
        return (UNPROTECTABLE_RESOURCE if denied else SUCCESS), granted

    @staticmethod
    def touches(one: Descriptor, area: range) -> bool:
        assert one.ranges is not None
        space, first, last, _access = one.ranges
        return space == "memory" and first * PAGE < area.stop and last * PAGE > area.start

    def claimed(self, one: Descriptor, limits: Limits, claims: list[Descriptor]) -> bool:
        """Whether the firmware needs any of it; TSEG it always does."""
        assert one.ranges is not None
        if self.touches(one, limits.tseg):
            return True
        space, first, last, access = one.ranges
        for claim in claims:
            if claim.ignored:
                continue
            if claim.type == ALL:
                return True
            if claim.ranges is not None:
                other, begin, end, needed = claim.ranges
                if other == space and begin < last and first < end and needed & access:
                    return True
        return False
