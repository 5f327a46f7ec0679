# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's event log and the domain types of its VMCS database, as the executive monitor has recorded them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from build_scripts.observation.events import Record, Stream

# Bits of DomainType, from bit 0, and XStatePolicy (StmApi.h).
TYPES = ("io-out", "io-in", "integrity", "confidentiality")
POLICIES = {0: "read-write", 1: "read-only", 3: "scrub"}
# What a place of a resource is called, where its type is no word for people.
_PLACES = {"mmio": "MMIO", "io": "port", "trapped-io": "trapped port", "msr": "MSR"}


def type_name(bits: int) -> str:
    """A domain type in words."""
    return ",".join(name for bit, name in enumerate(TYPES) if bits & 1 << bit) or "unprotected"


@dataclass(frozen=True)
class StmEvent:
    """One entry of the event log.

    Attributes:
        serial: EventSerialNumber.
        name: its type, such as ``protection-granted``.
        read: whether it had been read before.
        wrapped: whether it replaced an entry that nobody had read.
        record: what it tells beside.
    """

    serial: int
    name: str
    read: bool
    wrapped: bool
    record: Record

    @classmethod
    def of(cls, record: Record) -> StmEvent:
        """The entry of a record ``EXEC: ev=event``.

        Raises:
            RecordError: it lacks a number.
        """
        return cls(
            record.number("serial"),
            record.text("name"),
            record.number("read") != 0,
            record.number("wrapped") != 0,
            record,
        )

    @property
    def words(self) -> str:
        """For people, in one line."""
        name, detail = self.name.replace("-", " "), self._detail()
        return f"{name}: {detail}" if detail else name

    def _detail(self) -> str:
        record = self.record
        if "resource" in record.fields:
            return _resource_words(record)
        if "api" in record.fields:
            return f"call {record.number('api'):#x}"
        if "vmcs" in record.fields:
            expected, degraded = record.number("expected"), record.number("degraded")
            return f"VMCS {record.number('vmcs'):#x}, {type_name(expected)} served as {type_name(degraded)}"
        return ""

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``stm-event``."""
        record = self.record
        resource: dict[str, Any] | None = None
        domain: dict[str, Any] | None = None
        if "resource" in record.fields:
            resource = {"type": record.text("resource")}
            if "base" in record.fields:
                resource |= {key: record.number(key) for key in ("base", "length")}
                resource["access"] = record.text("access").replace("-", "")
            for key in ("bus", "device", "function"):
                if key in record.fields:
                    resource[key] = record.number(key)
        if "vmcs" in record.fields:
            domain = {
                "vmcs": record.number("vmcs"),
                "expected": type_name(record.number("expected")),
                "degraded": type_name(record.number("degraded")),
            }
        return {
            "serial": self.serial,
            "name": self.name,
            "wrapped": self.wrapped,
            "resource": resource,
            "api": record.number("api") if "api" in record.fields else None,
            "domain": domain,
        }


@dataclass(frozen=True)
class Domain:
    """What the VMCS database holds of one processor's guest.

    Attributes:
        vmcs: physical address.
        type: DomainType.
        xstate: XStatePolicy.
        kept: types that no SMI may take from it (DegradationPolicy).
    """

    cpu: int
    vmcs: int
    type: int
    xstate: int
    kept: int

    @classmethod
    def of(cls, record: Record) -> Domain:
        """The domain of a record ``EXEC: ev=domain``.

        Raises:
            RecordError: it lacks a number.
        """
        return cls(*(record.number(key) for key in ("cpu", "vmcs", "type", "xstate", "degradation")))

    @property
    def words(self) -> str:
        """For people, in one line."""
        kept = f", never without {type_name(self.kept)}" if self.kept else ""
        return f"{type_name(self.type)}, XState {POLICIES.get(self.xstate, self.xstate)}{kept}"

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``domain``."""
        return {
            "cpu": self.cpu,
            "vmcs": self.vmcs,
            "type": type_name(self.type),
            "xstate": POLICIES.get(self.xstate, str(self.xstate)),
            "kept": type_name(self.kept),
        }


def events_of(stream: Stream) -> list[StmEvent]:
    """Every entry that was read, once, in the order in which they were read first.

    An entry that a later reading finds again is the same one: its serial number counts until the log is cleared, and
    it says that it had been read.

    Raises:
        RecordError: a record lacks a number.
    """
    return [event for event in map(StmEvent.of, stream.of("EXEC", "event")) if not event.read]


def domains_of(stream: Stream) -> list[Domain]:
    """Every domain that was put into the database, in order; one that was taken out again too.

    Raises:
        RecordError: a record lacks a number.
    """
    return [Domain.of(record) for record in stream.of("EXEC", "domain") if record.number("added") != 0]


def event_words(record: Record) -> str:
    """How ``EXEC: ev=event`` reads in the story."""
    event = StmEvent.of(record)
    again = " (read before)" if event.read else ""
    return f"STM's event log: {event.serial}, {event.words}{again}"


def domain_words(record: Record) -> str:
    """How ``EXEC: ev=domain`` reads in the story."""
    cpu = record.number("cpu")
    if record.number("added") == 0:
        return f"executive monitor: the guest of processor {cpu} is no domain of the STM's any more"
    return f"executive monitor: the guest of processor {cpu} is a domain: {Domain.of(record).words}"


def _resource_words(record: Record) -> str:
    kind = record.text("resource")
    if "base" not in record.fields:
        return kind
    base, length = record.number("base"), record.number("length")
    access = record.text("access")
    if kind == "all":
        return kind
    if kind == "pci":
        function = f"{record.number('bus'):02x}:{record.number('device'):02x}.{record.number('function')}"
        return f"PCI {function}, register {base:#x}{_last(base, length)} {access}"
    return f"{_PLACES.get(kind, kind)} {base:#x}{_last(base, length)} {access}"


def _last(base: int, length: int) -> str:
    return f" to {base + length - 1:#x}" if length > 1 else ""
