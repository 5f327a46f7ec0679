# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sequences of operations: the phrases they are made of, and the way home from wherever one ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from build_scripts.model.operations import Operation
from build_scripts.model.platform import Happened, Platform
from build_scripts.model.processor import MONITOR_CTL, SMBASE_MSR
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
    State,
)

Phrase = tuple[Operation, ...]

ENABLED = MSEG | 1
MOST_STEPS_HOME = 24
MOST_PHRASES = 16
MOST_PHRASES_OF_TWO = 24


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


# What one processor sends to the other.
SENT: tuple[Phrase, ...] = tuple(
    (Operation(name, other=True),) for name in ("smi", "smi", "smi", "nmi", "init", "sipi", "sipi")
)
# A guest that waits for a start-up IPI; an executive monitor that does.
WAITING: tuple[Phrase, ...] = (
    (*select("G"), write("activity", WAIT_FOR_SIPI), op("vmlaunch")),
    (op("vmxoff"), op("init")),
)

# The STM of a processor runs; or its executive monitor has gone on; or its guest runs.
BEGINNINGS: tuple[Phrase, ...] = (
    ACTIVATE,
    (*ACTIVATE, op("vmlaunch")),
    (*ACTIVATE, op("vmlaunch"), *select("G"), op("vmlaunch")),
    (op("vmxon", "V"), *select("G"), op("vmlaunch")),
    (op("vmxon", "V"),),
    (),
)


def on(processor: int, phrase: Phrase) -> Phrase:
    """The phrase as that processor carries it out."""
    return tuple(replace(operation, processor=processor) for operation in phrase)


@dataclass(frozen=True)
class Sequence:
    """Operations from the beginning to the way home, and what the rules say of each.

    monitor_ctl: 9BH of each processor at the beginning.
    drawn: how many operations precede the way home.
    """

    monitor_ctl: tuple[int, ...]
    operations: tuple[Operation, ...]
    expected: tuple[Happened, ...]
    drawn: int


def _next_step_home(state: State) -> Phrase:
    """Towards the state of the beginning; nothing if it is reached.

    Raises:
        EndsHere: there is no way.
    """
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


def _next_step(platform: Platform) -> Phrase:
    """The same of all processors, one after the other.

    Raises:
        EndsHere: there is no way.
    """
    for number, processor in enumerate(platform.processors):
        if processor.state.waits:
            return on(1 - number, (Operation("sipi", other=True),))
        if phrase := _next_step_home(processor.state):
            return on(number, phrase)
    return ()


def _go_home(platform: Platform) -> list[tuple[Operation, Happened]]:
    steps: list[tuple[Operation, Happened]] = []
    while phrase := _next_step(platform):
        if len(steps) > MOST_STEPS_HOME * len(platform.processors):
            raise EndsHere("no way home")
        steps += [(operation, platform.perform(operation)) for operation in phrase]
    return steps


def _performed(monitor_ctl: tuple[int, ...], operations: Iterable[Operation]) -> tuple[Platform, list[Happened]]:
    """Raises: EndsHere."""
    platform = Platform(*monitor_ctl)
    return platform, [platform.perform(operation) for operation in operations]


def sequence(phrases: Iterable[Phrase], *monitor_ctl: int) -> Sequence:
    """The operations of the phrases and the way home, without those from which no way leads there.

    monitor_ctl: 9BH of each processor at the beginning; one processor with the treatment enabled if nothing is said.
    """
    beginning = monitor_ctl or (ENABLED,)
    platform = Platform(*beginning)
    operations: list[Operation] = []
    for operation in (operation for phrase in phrases for operation in phrase):
        try:
            platform.perform(operation)
            operations.append(operation)
        except EndsHere:
            platform, _ = _performed(beginning, operations)
    while True:
        platform, expected = _performed(beginning, operations)
        try:
            home = _go_home(platform)
            break
        except EndsHere:
            operations.pop()
    return Sequence(
        beginning,
        (*operations, *(operation for operation, _ in home)),
        (*expected, *(happened for _, happened in home)),
        len(operations),
    )


def drawn(seed: int) -> Sequence:
    """A random sequence of one processor, always the same for a seed."""
    random = Random(seed)
    phrases = [random.choice((ACTIVATE, ACTIVATE, ACTIVATE, (op("vmxon", "V"),), ()))]
    for _ in range(random.randint(1, MOST_PHRASES)):
        phrases.append(random.choice(random.choice((WAYS, WAYS, CHANGED, SINGLE))))
    return sequence(phrases, random.choice((ENABLED, ENABLED, ENABLED, MSEG, ENABLED | 4)))


def drawn_for_two(seed: int) -> Sequence:
    """A random sequence of two processors, always the same for a seed."""
    random = Random(seed)
    phrases = [on(number, random.choice(BEGINNINGS)) for number in (0, 1)]
    for _ in range(random.randint(2, MOST_PHRASES_OF_TWO)):
        phrase = random.choice(random.choice((WAYS, WAYS, CHANGED, SINGLE, SENT, SENT, WAITING)))
        phrases.append(on(random.choice((0, 1)), phrase))
    values = (ENABLED, ENABLED, ENABLED, MSEG, ENABLED | 4)
    return sequence(phrases, random.choice(values), random.choice(values))
