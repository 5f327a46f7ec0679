# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reference model of the event log, written from the words of StmApi.h; it shares nothing with the C code."""

from __future__ import annotations

from dataclasses import dataclass, field

NEW, CONFIGURE, START, STOP, CLEAR, DELETE = range(1, 7)
EVENTS = 10
STARTED, STOPPED = 0, 1
LOCK, VALID, READ, WRAPPED = 1, 2, 4, 8
ENTRY, HEADER, PER_PAGE, MOST_PAGES = 256, 8, 16, 64

SUCCESS, SECURITY_VIOLATION = 0, 0x8001_0001
INVALID_PAGECOUNT, ALLOCATED, NOT_ALLOCATED = 0x8001_000E, 0x8001_000F, 0x8001_0010
NOT_STOPPED, NOT_STARTED, RESERVED_BIT_SET, NO_EVENTS = 0x8001_0011, 0x8001_0012, 0x8001_0013, 0x8001_0014
INVALID_API, INVALID_PARAMETER = 0x8003_8001, 0x8003_8002


@dataclass
class Entry:
    """What an entry of the log holds."""

    serial: int = 0
    type: int = 0
    flags: int = 0
    data: bytes = b""


@dataclass
class EventLog:
    """The log: what the STM knows, and what is in the pages."""

    own: frozenset[int]
    pages: list[int] = field(default_factory=list)
    wanted: set[int] = field(default_factory=set)
    started: bool = False
    written: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)

    def manage(self, function: int, value: int, pages: list[int]) -> int:
        """A call; `pages` are those of NEW_LOG, as many as a request has room for."""
        if not NEW <= function <= DELETE:
            return INVALID_API
        if function == NEW:
            return self.new(value, pages)
        if not self.pages:
            return NOT_ALLOCATED
        if function == STOP:
            if not self.started:
                return NOT_STARTED
            self.event(STOPPED, bytes(4))
            self.started = False
            return SUCCESS
        if self.started:
            return NOT_STOPPED
        if function == CONFIGURE:
            if value >> EVENTS:
                return RESERVED_BIT_SET
            self.wanted = {bit for bit in range(EVENTS) if value >> bit & 1}
        elif function == START:
            if not self.wanted:
                return NO_EVENTS
            self.started = True
            self.event(STARTED, bytes(4))
        elif function == CLEAR:
            self.clear()
        else:
            self.pages = []
        return SUCCESS

    def new(self, count: int, pages: list[int]) -> int:
        """NEW_LOG."""
        if self.pages:
            return ALLOCATED
        if not 1 <= count <= MOST_PAGES:
            return INVALID_PAGECOUNT
        named = pages[:count]
        for place, page in enumerate(named):
            if page % 4096:
                return INVALID_PARAMETER
            if page not in self.own:
                return SECURITY_VIOLATION
            if page in named[:place]:
                return INVALID_PARAMETER
        self.pages = named
        self.wanted = set()
        self.clear()
        return SUCCESS

    def clear(self) -> None:
        """All entries empty, numbers from 0."""
        self.entries = {slot: Entry() for slot in range(PER_PAGE * len(self.pages))}
        self.written = 0

    def event(self, kind: int, data: bytes) -> None:
        """Something has happened."""
        if not self.started or kind not in self.wanted:
            return
        slot = self.written % len(self.entries)
        old = self.entries[slot]
        if not old.flags & LOCK:
            wrapped = WRAPPED if old.flags & VALID and not old.flags & READ else 0
            self.entries[slot] = Entry(self.written, kind, VALID | wrapped, data[: ENTRY - HEADER])
        self.written += 1
