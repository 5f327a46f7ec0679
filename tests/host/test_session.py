# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's session, searched: every order in which processors can come in, join, stop and leave.

The code under search is Session/Session.c itself, compiled for the host: a processor is a coroutine that stops before
each access to a shared word. The way out is read from Session/Leave.nasm, instruction by instruction. The search knows
every state that can be reached; in none of them something is rebuilt that another processor still uses.
"""

from __future__ import annotations

import ctypes
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host.conftest import Build

SESSION = "StmPkg/Stm/Session/Session.c"
LEAVE = "StmPkg/Stm/Session/Leave.nasm"
OUTSIDE, CHOICE = 1, 2
REBUILT = "what all share is rebuilt under a processor that uses it"

_ACCESS = re.compile(r"\*\(volatile UINT32 \*\) ?&Shared->(\w+)")
# What an instruction of the way out does: to a letter of session_stub.c, "" for nothing that others could disturb.
_STEPS = {
    r"mov\s+cr3, \w+": "T",
    r"LOAD_REGISTERS": "R",
    r"lock dec dword \[rsp\]": "C",
    r"vmlaunch|vmresume": "E",
    r"vmwrite\s+\w+, \w+|lea\s+\w+, \[\.\w+\]|mov\s+\w+, \w+|test\s+\w+, \w+": "",
}


def way_out(text: str, launched: bool) -> str:
    """The steps of AsmLeave, along the jump that a launched VMCS takes or not."""
    lines = [line.split(";")[0].strip() for line in text.splitlines()]
    steps, place = "", lines.index("ASM_PFX(AsmLeave):") + 1
    while not steps.endswith("E"):
        line = lines[place]
        place += 1
        if not line or line.endswith(":"):
            continue
        if jump := re.fullmatch(r"jnz\s+(\.\w+)", line):
            place = lines.index(f"{jump[1]}:") if launched else place
            continue
        known = [step for pattern, step in _STEPS.items() if re.fullmatch(pattern, line)]
        assert known, f"the model does not know what {line!r} uses"
        steps += known[0]
    return steps


@dataclass(frozen=True)
class Found:
    """What a search has seen: states, a fault with the way to it, states without a way to the outside."""

    states: int
    fault: str = ""
    path: tuple[int, ...] = ()
    stuck: int = 0
    statuses: int = 0


class Model:
    """Session.c, perhaps with a fault, under a scheduler."""

    def __init__(self, library: ctypes.CDLL, processors: int) -> None:
        self.library = library
        self.processors = processors
        self.buffer = ctypes.create_string_buffer(library.TestSize())

    def save(self) -> bytes:
        self.library.TestSave(self.buffer)
        return self.buffer.raw

    def steps(self, state: bytes) -> list[tuple[int, int]]:
        """Which processor may go on, and with which choice."""
        self.library.TestRestore(state)
        points = [self.library.TestPoint(number) for number in range(self.processors)]
        return [(number, choice) for number, point in enumerate(points) for choice in range(1 + (point == CHOICE))]

    def fault(self) -> str:
        text = ctypes.c_char_p.in_dll(self.library, "TestFault").value
        return text.decode() if text else ""

    def outside(self, state: bytes) -> bool:
        """Whether every processor is outside."""
        self.library.TestRestore(state)
        return all(self.library.TestPoint(number) == OUTSIDE for number in range(self.processors))

    def search(self, limit: int, order: str, touch_blocks: bool = False) -> Found:
        """Breadth first, so that the way to a fault is the shortest."""
        self.library.TestStart(self.processors, limit, order.encode(), int(touch_blocks))
        start = self.save()
        known = {start: 0}
        parents: list[tuple[int, int]] = [(-1, -1)]
        edges: list[tuple[int, int]] = []
        queue = deque([start])
        while queue:
            state = queue.popleft()
            number = known[state]
            for processor, choice in self.steps(state):
                self.library.TestRestore(state)
                self.library.TestStep(processor, choice)
                after = self.save()
                if fault := self.fault():
                    path = [processor]
                    while number > 0:
                        number, step = parents[number]
                        path.append(step)
                    return Found(len(known), fault, tuple(reversed(path)))
                if after not in known:
                    known[after] = len(known)
                    parents.append((number, processor))
                    queue.append(after)
                edges.append((number, known[after]))
        statuses = ctypes.c_uint32.in_dll(self.library, "TestStatuses").value
        return Found(len(known), stuck=self._stuck(known, edges), statuses=statuses)

    def _stuck(self, known: dict[bytes, int], edges: list[tuple[int, int]]) -> int:
        """States from which the processors cannot all get out."""
        before: list[list[int]] = [[] for _ in known]
        for source, target in edges:
            before[target].append(source)
        free = [number for state, number in known.items() if self.outside(state)]
        seen = set(free)
        while free:
            for number in before[free.pop()]:
                if number not in seen:
                    seen.add(number)
                    free.append(number)
        return len(known) - len(seen)


Make = Callable[[str, int], Model]


def instrumented(text: str) -> str:
    """Session.c with a stop before each access to a shared word, and a short wait for those who leave."""
    wait = "#define LEAVING_PAUSES  100000"
    assert wait in text
    calls, count = _ACCESS.subn(r"*TestAccess (&Shared->\1)", text.replace(wait, "#define LEAVING_PAUSES  2"))
    assert count >= 6
    assert "Shared->" not in re.sub(r"(Access|Increment|Exchange32) \(&Shared->\w+|Shared->ProcessorLimit", "", calls)
    return calls.replace('#include "Session.h"', '#include "Session/Session.h"\nUINT32 *\nTestAccess (IN VOID *Word);')


@pytest.fixture(scope="module")
def source(checkout: Path) -> str:
    return (checkout / SESSION).read_text(encoding="ascii")


@pytest.fixture(scope="module")
def leave(checkout: Path) -> str:
    return (checkout / LEAVE).read_text(encoding="ascii")


@pytest.fixture
def model(build_library: Build, tmp_path: Path) -> Make:
    """A function that compiles a text of Session.c for a number of processors."""

    def make(text: str, processors: int) -> Model:
        path = tmp_path / "Session.c"
        path.write_text(instrumented(text), encoding="ascii")
        return Model(build_library("session", "tests/host/session_stub.c", str(path)), processors)

    return make


def test_way_out_of_the_code(leave: str) -> None:
    """After the count there is nothing but the VM entry."""
    assert way_out(leave, launched=False) == way_out(leave, launched=True) == "TRCE"


@pytest.mark.parametrize(("processors", "limit"), [(2, 2), (2, 1), (3, 2)])
def test_every_order_is_safe(model: Make, source: str, leave: str, processors: int, limit: int) -> None:
    found = model(source, processors).search(limit, way_out(leave, launched=True))
    assert (found.fault, found.stuck) == ("", 0)
    assert found.states > 100 ** (processors - 1)
    # Every answer occurs: success, not initialized, over; and no room, where there is not enough.
    assert found.statuses == (0b1111 if processors > limit else 0b0111)


def test_counting_before_the_page_tables_is_found(model: Make, source: str, leave: str) -> None:
    """A processor counts itself out and goes on using what all share, as the STM once did."""
    count = "    lock dec dword [rsp]\n"
    tables = next(line for line in leave.splitlines(keepends=True) if line.strip().startswith("mov     cr3"))
    old = leave.replace(count, "").replace(tables, count + tables)
    order = way_out(old, launched=True)
    assert order == "CTRE"
    found = model(source, 2).search(2, order)
    assert found.fault == REBUILT
    assert len(found.path) < 40


def test_writing_blocks_while_building_is_found(model: Make, source: str, leave: str) -> None:
    """A block is in use up to the VM entry, which comes after the count: so no build may write one."""
    found = model(source, 2).search(2, way_out(leave, launched=True), touch_blocks=True)
    assert found.fault == "a block is written under its processor"


# Name: text in Session.c, what stands there instead, what the search says.
FAULTS = {
    "the session stays open": (
        "? STM_SESSION_OVER : Old - 1;",
        "? STM_SESSION_OPEN : Old - 1;",
        "a session is open exactly while it has members",
    ),
    "no limit": (">= Shared->ProcessorLimit", "> 100", "more members than there is room for"),
    "everybody builds": (
        "if (InterlockedIncrement (&Shared->Inside) != 1) {",
        "if (InterlockedIncrement (&Shared->Inside) > 100) {",
        REBUILT,
    ),
    "join without comparing": (
        "while (InterlockedCompareExchange32 (&Shared->Session, Old, New) != Old);\n\n  return STM_SUCCESS;",
        "while (InterlockedCompareExchange32 (&Shared->Session, *(volatile UINT32 *)&Shared->Session, New) == 7);\n\n"
        "  return STM_SUCCESS;",
        "the count of members is wrong",
    ),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_planted_fault_is_found(model: Make, source: str, leave: str, name: str) -> None:
    old, new, fault = FAULTS[name]
    assert old in source
    assert model(source.replace(old, new), 3).search(2, way_out(leave, launched=True)).fault == fault
