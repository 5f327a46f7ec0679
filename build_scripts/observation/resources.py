# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What SMI handlers need: as the firmware declares it, as they were seen to touch it, and how the two compare.

Declared is what the executive monitor gets by GET_BIOS_RESOURCES (records ``bios-resource``), touched what the machine
traced while the handler ran as the STM's guest (``smm_handler_access``). SMRAM is the handlers' own: no list names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from build_scripts.observation.events import MachineEvent, Record, RecordError, Stream

ACCESS_EVENT = "smm_handler_access"
PAGE = 0x1000
MEMORY, IO, MSR = "memory", "io", "msr"
# The space in which a type of descriptor claims; the others claim no places of these.
SPACES = {"memory": MEMORY, "mmio": MEMORY, "io": IO, "trapped-io": IO, "msr": MSR}
LETTERS = "rwx"


@dataclass(frozen=True)
class Resource:
    """A range of places of one kind.

    Attributes:
        type: as in the record: ``memory``, ``mmio``, ``io``, ``msr``, ``pci``, ``trapped-io``, ``all``, ``register``.
        base: first address, port or MSR.
        length: bytes, ports or MSRs; 0 of ``all``.
        access: letters of ``rwx``, in this order.
    """

    type: str
    base: int
    length: int
    access: str

    @property
    def end(self) -> int:
        """The first place behind it."""
        return self.base + self.length

    @property
    def name(self) -> str:
        """For people, in one line."""
        last = f" to {self.end - 1:#x}" if self.length > 1 else ""
        return f"{self.type} {self.base:#x}{last} {self.access}"

    def covers(self, space: str, place: int, access: str) -> bool:
        """Whether it claims an access to a place, of memory the address of a page."""
        if self.type == "all":
            return True
        inside = SPACES.get(self.type) == space and self.base < place + (PAGE if space == MEMORY else 1)
        return inside and place < self.end and access in self.access

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``resource``."""
        return {"type": self.type, "base": self.base, "length": self.length, "access": self.access}


@dataclass(frozen=True)
class Touch:
    """A place that was touched outside SMRAM.

    Attributes:
        space: `MEMORY`, `IO` or `MSR`.
        place: address of a page, port, MSR.
        access: letters of ``rwx``, in this order.
    """

    space: str
    place: int
    access: str


@dataclass(frozen=True)
class Use:
    """A declared resource, and what of it was used.

    Attributes:
        resource: as declared.
        places: how many of its pages, ports or MSRs were touched.
        access: in which ways.
    """

    resource: Resource
    places: int
    access: str

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``declared-resource``."""
        return {**self.resource.as_json(), "places_touched": self.places, "access_seen": self.access}


@dataclass(frozen=True)
class Comparison:
    """Declared against touched.

    Attributes:
        declared: each declared resource with its use.
        touched: what was touched, in order of space and place.
        undeclared: of that, what no declared resource claims, as ranges.
        proposed: the least list that claims all that was touched.
    """

    declared: tuple[Use, ...]
    touched: tuple[Touch, ...]
    undeclared: tuple[Resource, ...]
    proposed: tuple[Resource, ...]

    @property
    def unused(self) -> list[Resource]:
        """Declared, and not touched."""
        return [use.resource for use in self.declared if use.places == 0]


def declared(stream: Stream) -> list[Resource]:
    """The list that the executive monitor got, once: the records of its first reading.

    Raises:
        RecordError: a record lacks a number.
    """
    ends = stream.of("EXEC", "bios-resources")
    records = stream.of("EXEC", "bios-resource")
    return [_resource(record) for record in records if not ends or record.t <= ends[0].t]


def _resource(record: Record) -> Resource:
    return Resource(
        record.text("type"), record.number("base"), record.number("length"), record.text("access").replace("-", "")
    )


def touched(stream: Stream, smram: range) -> list[Touch]:
    """What the SMI handlers touched outside SMRAM, each place once.

    Args:
        smram: TSEG.
    Raises:
        RecordError: an event lacks a number.
    """
    seen: dict[tuple[str, int], set[str]] = {}
    for event in stream.machine:
        if not isinstance(event, MachineEvent) or event.name != ACCESS_EVENT:
            continue
        space, access, places = _accessed(event)
        for place in places:
            if space != MEMORY or place not in smram:
                seen.setdefault((space, place), set()).add(access)
    return [Touch(space, place, in_order(accesses)) for (space, place), accesses in sorted(seen.items())]


def _accessed(event: MachineEvent) -> tuple[str, str, Iterable[int]]:
    try:
        space, access = event.fields["space"], event.fields["access"]
        address, size = int(event.fields["address"], 0), int(event.fields["size"], 0)
    except (KeyError, ValueError) as error:
        raise RecordError("machine.log", event.line, str(event.fields), f"bad access ({error})") from None
    return space, access, range(address, address + size) if space == IO else (address,)


def in_order(accesses: Iterable[str]) -> str:
    """Letters in the order of ``rwx``."""
    given = set(accesses)
    return "".join(letter for letter in LETTERS if letter in given)


def compare(claims: list[Resource], touches: list[Touch]) -> Comparison:
    """Compare what is declared with what was touched."""
    uses = []
    for claim in claims:
        mine = [touch for touch in touches if any(claim.covers(touch.space, touch.place, one) for one in touch.access)]
        uses.append(Use(claim, len(mine), in_order("".join(touch.access for touch in mine))))
    missing = []
    for touch in touches:
        left = "".join(
            one for one in touch.access if not any(claim.covers(touch.space, touch.place, one) for claim in claims)
        )
        if left:
            missing.append(Touch(touch.space, touch.place, left))
    return Comparison(tuple(uses), tuple(touches), tuple(ranges(missing, claims)), tuple(ranges(touches, claims)))


def ranges(touches: list[Touch], claims: list[Resource]) -> list[Resource]:
    """Touched places as descriptors, neighbours with the same accesses in one.

    Args:
        claims: tell of memory whether it is MMIO; what they do not name is called memory.
    """
    found: list[Resource] = []
    for touch in touches:
        kind = touch.space
        if kind == MEMORY and any(c.type == "mmio" and c.base <= touch.place < c.end for c in claims):
            kind = "mmio"
        size = PAGE if touch.space == MEMORY else 1
        # A page that can be written but not read does not exist (EPT); a descriptor of ports has no direction.
        more = {MEMORY: "r", IO: "rw"}.get(touch.space, "")
        access = in_order(touch.access + more)
        last = found[-1] if found else None
        joins = last is not None and (last.type, last.access, last.end) == (kind, access, touch.place)
        # A descriptor of MSRs names one.
        if last is not None and joins and touch.space != MSR:
            found[-1] = Resource(kind, last.base, last.length + size, access)
        else:
            found.append(Resource(kind, touch.place, size, access))
    return found
