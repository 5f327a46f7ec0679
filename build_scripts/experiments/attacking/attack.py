# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an attack is: who wants what, by which steps, and how one sees whether it came off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from build_scripts.observation.events import Record


class Attacker(StrEnum):
    """Who attacks."""

    HANDLER = "SMI handler"
    EXECUTIVE = "executive monitor"
    GUEST = "guest"
    DEVICE = "device"
    BOOT = "boot"


class Column(StrEnum):
    """Under which monitors."""

    DEFAULT = "default"  # the executive monitor alone: SMIs get the default treatment
    UNPROTECTED = "unprotected"  # with the STM, of which nobody asks anything
    PROTECTED = "protected"  # with the STM, and words that begin with ``protect`` are carried out


class Place(StrEnum):
    """Where the Shell runs that carries out the steps, and whose SMIs are raised."""

    NATIVE = "native"  # before the executive monitor
    ROOT = "root"  # VMX root operation: the Shell is the executive monitor
    GUEST = "guest"  # the executive monitor's guest


class Outcome(StrEnum):
    """What became of an attack."""

    SUCCEEDED = "succeeded"
    BLOCKED = "blocked"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Step:
    """What one step came to.

    Attributes:
        by: ``shell``, ``smm`` or ``tool``.
        result: ``done``, ``faulted``, ``rejected`` or ``pending``.
        vector: of the exception, 0 without one.
        violations: protection exceptions that it caused.
        value: what it read or returned.
    """

    label: str
    by: str
    operation: str
    arguments: tuple[int, ...]
    result: str
    vector: int
    violations: int
    value: int

    @classmethod
    def of(cls, record: Record) -> Step:
        """The step of a record ``APP: ev=attack-step``.

        Raises:
            RecordError: it lacks a number.
        """
        return cls(
            record.text("label"),
            record.text("by"),
            record.text("op"),
            tuple(record.number(key) for key in "abcd"),
            record.text("result"),
            record.number("vector"),
            record.number("violations"),
            record.number("value"),
        )

    @property
    def refused(self) -> bool:
        """Whether an exception stopped it."""
        return self.result == "faulted"

    @property
    def answer(self) -> str:
        """What it came to, for people."""
        if self.violations:
            return "protection exception"
        if self.refused:
            return {6: "#UD", 13: "#GP", 14: "#PF"}.get(self.vector, f"exception {self.vector}")
        return f"{self.value:#x}"


@dataclass(frozen=True)
class Trace:
    """What one attack left in one column.

    Attributes:
        steps: those that were carried out, in order.
        ended: whether all were.
        crash: the crash record of the boot, if the attack was the last thing in it.
        status: the firmware's record of the boot.
        records: those of the boot by others than the tools of the Shell.
    """

    steps: tuple[Step, ...]
    ended: bool
    crash: Record | None = None
    status: Record | None = None
    records: tuple[Record, ...] = ()

    def __getitem__(self, label: str) -> Step:
        """The step with a label."""
        return next(step for step in self.steps if step.label == label)


@dataclass(frozen=True)
class Verdict:
    """An outcome and what was seen of it, a phrase; no outcome means that it could not be seen."""

    outcome: Outcome | None
    seen: str


Judge = Callable[[Trace], Verdict]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        attacker: who.
        goal: what it wants, a phrase.
        steps: words for Attack.efi, separated by blanks.
        judge: looks at what the steps came to.
        expects: the outcome in each column.
        stopped_by: what stops it where it is blocked; empty if nothing does anywhere.
        reason: why it succeeds under the STM, or why nothing lets it succeed; empty if neither is so.
        place: where the Shell runs.
        crashes: the class of the crash record in columns in which the attack ends the platform.
        then: the Shell's commands behind the steps, of an attack that ends the platform.
        image: changes the STM image that the firmware is given, for attacks at boot.
        further: makes steps of the STM image that is loaded, behind the others.
        processors: of the machine; more than one only as the guest.
        policy: optional policies of the STM that are switched on where it protects: fw_cfg name to contents.
    """

    attacker: Attacker
    goal: str
    steps: str
    judge: Judge
    expects: tuple[Outcome, Outcome, Outcome]
    stopped_by: str = ""
    reason: str = ""
    place: Place = Place.ROOT
    crashes: Mapping[Column, str] = field(default_factory=dict)
    then: tuple[str, ...] = ()
    image: Callable[[bytes], bytes] | None = None
    further: Callable[[bytes], str] | None = None
    processors: int = 1
    policy: Mapping[str, str] = field(default_factory=dict)

    def expected(self, column: Column) -> Outcome:
        """The outcome in a column."""
        return self.expects[list(Column).index(column)]

    def applies(self, column: Column) -> bool:
        """Whether it is tried there."""
        return self.expected(column) is not Outcome.NOT_APPLICABLE

    def words(self, column: Column) -> tuple[str, ...]:
        """The steps that are carried out in a column."""
        return tuple(
            word
            for word in self.steps.split()
            if column is Column.PROTECTED
            or not (word.startswith("protect") or word.rpartition("=")[2].startswith("protect"))
        )

    def against(self, image: bytes) -> Attack:
        """The attack with all its steps, on a machine whose firmware has this STM image."""
        if self.further is None:
            return self
        loaded = self.image(image) if self.image is not None else image
        return replace(self, steps=f"{self.steps} {self.further(loaded)}", further=None)

    def policy_in(self, column: Column) -> Mapping[str, str]:
        """The policies that are on in a column."""
        return self.policy if column is Column.PROTECTED else {}

    def verdict(self, column: Column, trace: Trace) -> Verdict:
        """What became of it in a column in which it was tried."""
        if trace.crash is not None:
            name = trace.crash.text("class")
            wanted = self.crashes.get(column)
            if name == wanted:
                return Verdict(Outcome.BLOCKED, f"the STM crashed, {name}, and reset the platform")
            return Verdict(None, f"a crash, {name}, that was not expected")
        for step in trace.steps:
            if step.result in ("rejected", "pending"):
                return Verdict(None, f"the step {step.operation} was {step.result}")
            if step.operation.startswith("protect") and step.value != 0:
                return Verdict(None, f"the STM did not protect: status {step.value:#x}")
        if not trace.ended:
            return Verdict(None, "it never ended")
        return self.judge(trace)
