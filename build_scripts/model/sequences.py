# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sequences of operations: the phrases they are made of, and the way home from wherever one ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from build_scripts.model.operations import Operation
from build_scripts.model.processor import MONITOR_CTL, SMBASE_MSR, Observation, Processor
from build_scripts.model.state import (
    INJECT_MTF,
    INJECT_NMI,
    INJECT_RESERVED,
    MSEG,
    OTHER_SMBASE,
    SMBASE,
    WAIT_FOR_SIPI,
    EndsHere,
    Mode,
    Pointer,
)

Phrase = tuple[Operation, ...]

ENABLED = MSEG | 1
MOST_STEPS_HOME = 24
MOST_PHRASES = 16


def op(name: str, pointer: Pointer = None) -> Operation:
    """An operation with at most a pointer."""
    return Operation(name, pointer)


def write(field: str, value: object) -> Operation:
    """A VMWRITE."""
    return Operation("vmwrite", field=field, value=value)


def _one(*operations: Operation) -> list[Phrase]:
    return [(operation,) for operation in operations]


def select(region: str) -> Phrase:
    """A VMCS that is current and clear."""
    return op("vmclear", region), op("vmptrld", region)


ACTIVATE: Phrase = (op("vmxon", "V"), *select("A"), op("vmcall"))

# Short runs without which little of the rest would be reached.
WAYS: tuple[Phrase, ...] = (
    ACTIVATE,
    (*select("G"), op("vmlaunch")),
    (*select("H"), op("vmlaunch")),
    (*select("X"), op("vmlaunch")),
    (*select("Y"), op("vmlaunch")),
    (*select("S"), op("vmlaunch")),
    (op("vmptrld", "G"), op("vmresume")),
    (op("vmptrld", "S"), op("vmresume")),
    *_one(*(op(name) for name in ("vmcall", "vmlaunch", "vmresume", "out", "smi", "rsm", "cpuid"))),
)
# Every kind of operation, alone.
SINGLE: tuple[Phrase, ...] = (
    *_one(
        *(op(name) for name in ("vmcall", "vmlaunch", "vmresume", "vmxoff", "rsm", "vmptrst", "cpuid", "iret")),
        *(op(name) for name in ("out", "smi", "nmi", "init")),
        *(op("vmxon", pointer) for pointer in ("V", "Z", "V+1", None)),
        *(op("vmclear", pointer) for pointer in ("G", "A", "X", "V", "G+1", "G+wide")),
        *(op("vmptrld", pointer) for pointer in ("G", "H", "A", "X", "Y", "S", "V", "Z", "G+1", "G+wide", None)),
        *(write("executive", value) for value in ("V", "G", "H", "X", "Z", "V+1", "V+wide", None)),
        *(write("link", value) for value in (None, "G", "H", "A", "X", "V", "Z", "G+1")),
        *(write("entry", value) for value in ((False, False), (True, False), (False, True), (True, True))),
        *(write("interruptibility", value) for value in (0, 4, 8, 12)),
        *(write("activity", value) for value in (0, WAIT_FOR_SIPI)),
        *(write("smbase", value) for value in (SMBASE, OTHER_SMBASE)),
        *(write("injection", value) for value in (0, INJECT_MTF, INJECT_NMI, INJECT_RESERVED)),
        *(write(field, value) for field in ("exit_controls_legal", "pin_controls_legal") for value in (True, False)),
        *(Operation("vmread", field=field) for field in ("executive", "link", "reason", "error")),
        *(Operation("rdmsr", msr=msr) for msr in (MONITOR_CTL, SMBASE_MSR)),
        *(Operation("wrmsr", msr=MONITOR_CTL, number=number) for number in (ENABLED, MSEG, ENABLED | 4, ENABLED | 2)),
        Operation("wrmsr", msr=SMBASE_MSR, number=SMBASE),
        *(Operation("header", field="revision", number=number) for number in (0, 1)),
        *(Operation("header", field="features", number=number) for number in (1, 0, 2)),
    ),
)


WRITES = tuple(phrase[0] for phrase in SINGLE if phrase[0].name == "vmwrite")
# One changed field and the instruction that checks it.
CHANGED: tuple[Phrase, ...] = (
    *((change, op(entry)) for change in WRITES for entry in ("vmlaunch", "vmresume")),
    *((*select("A"), write("exit_controls_legal", legal), op("vmcall")) for legal in (True, False)),
    *(
        (op("out"), phrase[0], op("rsm"), *select("A"), op("vmcall"))
        for phrase in SINGLE
        if phrase[0].name in ("header", "wrmsr")
    ),
)


@dataclass(frozen=True)
class Sequence:
    """Operations from the beginning to the way home, and what the rules say of each.

    drawn: how many operations precede the way home.
    """

    monitor_ctl: int
    operations: tuple[Operation, ...]
    expected: tuple[Observation, ...]
    drawn: int


def _next_step_home(processor: Processor) -> Phrase:
    """Towards the state of the beginning; nothing if it is reached.

    Raises:
        EndsHere: there is no way.
    """
    state = processor.state
    if state.smm and state.mode is Mode.OFF:
        return (op("rsm"),)
    if state.mode is Mode.GUEST:
        return (op("vmcall"),)
    if state.smm:
        return (*select("W"), op("vmlaunch"))
    if state.mode is Mode.OFF:
        return (op("iret"),) if state.nmi_pending else ()
    if state.dual_monitor and state.monitor_ctl & 1:
        return (op("vmcall"),)
    if state.dual_monitor and not state.smi_blocked:
        return (op("out"),)
    if state.dual_monitor:
        raise EndsHere("neither VMCALL nor an SMI reaches the STM")
    return (*select("U"), op("vmlaunch")) if state.init_pending else (op("vmxoff"),)


def _go_home(processor: Processor) -> list[tuple[Operation, Observation]]:
    steps: list[tuple[Operation, Observation]] = []
    while phrase := _next_step_home(processor):
        if len(steps) > MOST_STEPS_HOME:
            raise EndsHere("no way home")
        steps += [(operation, processor.perform(operation)) for operation in phrase]
    return steps


def _performed(monitor_ctl: int, operations: Iterable[Operation]) -> tuple[Processor, list[Observation]]:
    """Raises: EndsHere."""
    processor = Processor(monitor_ctl)
    return processor, [processor.perform(operation) for operation in operations]


def sequence(phrases: Iterable[Phrase], monitor_ctl: int = ENABLED) -> Sequence:
    """The operations of the phrases and the way home, without those from which no way leads there."""
    processor = Processor(monitor_ctl)
    operations: list[Operation] = []
    for operation in (operation for phrase in phrases for operation in phrase):
        try:
            processor.perform(operation)
            operations.append(operation)
        except EndsHere:
            processor, _ = _performed(monitor_ctl, operations)
    while True:
        processor, expected = _performed(monitor_ctl, operations)
        try:
            home = _go_home(processor)
            break
        except EndsHere:
            operations.pop()
    return Sequence(
        monitor_ctl,
        (*operations, *(operation for operation, _ in home)),
        (*expected, *(observation for _, observation in home)),
        len(operations),
    )


def drawn(seed: int) -> Sequence:
    """A random sequence, always the same for a seed."""
    random = Random(seed)
    phrases = [random.choice((ACTIVATE, ACTIVATE, ACTIVATE, (op("vmxon", "V"),), ()))]
    for _ in range(random.randint(1, MOST_PHRASES)):
        phrases.append(random.choice(random.choice((WAYS, WAYS, CHANGED, SINGLE))))
    return sequence(phrases, random.choice((ENABLED, ENABLED, ENABLED, MSEG, ENABLED | 4)))
