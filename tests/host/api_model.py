# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reference model of the STM's life and of its calls, from the words of StmApi.h and docs/reference/stm-api.rst.

One call at a time: which orders of several processors are safe is what test_session.py searches for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.host import event_model as events
from tests.host import resource_model as resources

START, STOP, PROTECT, UNPROTECT, RESOURCES, DATABASE, INITIALIZE, EVENT_LOG = (0x1_0000 | n for n in range(1, 9))
MAP, UNMAP, LOOKUP, RETURN = range(1, 5)
SUCCESS = 0
SECURITY_VIOLATION, PAGE_NOT_FOUND, BAD_CR3 = 0x8001_0001, 0x8001_0003, 0x8001_0004
ALREADY_STARTED, STOPPED, UNSUPPORTED_MSR_BIT = 0x8001_0008, 0x8001_000A, 0x8001_0018
OUT_OF_RESOURCES, FUNCTION_NOT_SUPPORTED, UNSPECIFIED = 0x8001_0015, 0x8001_0016, 0x8001_FFFF
INVALID_VMCS_DATABASE = 0x8001_000C
INVALID_API, INVALID_PARAMETER = 0x8003_8001, 0x8003_8002
# Statuses that say that somebody has called with what is none: an event.
BAD_PARAMETERS = {
    *(SECURITY_VIOLATION, BAD_CR3, resources.MALFORMED, events.INVALID_PAGECOUNT, events.RESERVED_BIT_SET),
    *(UNSUPPORTED_MSR_BIT, INVALID_API, INVALID_PARAMETER),
}
INVALID_PARAMETER_EVENT, GRANTED_EVENT, DENIED_EVENT, UNPROTECT_EVENT, UNPROTECT_ERROR_EVENT = 2, 5, 6, 7, 8
SMM_MONITOR_CTL = 0x9B
OFF, INITIALIZED, STARTED = range(3)


@dataclass
class Machine:
    """Processors, the session that they share, and what it protects.

    Attributes:
        room: processors that MSEG serves at a time.
        states: of each processor.
        offered: the firmware's list as it is now, up to what cannot be parsed.
        sound: all of it can be parsed.
        text: its bytes, without END.
        claims: the one that this session has read, and its bytes.
        profile: what is protected.
        own: pages that the executive monitor has for its log.
        domains: the VMCSs of the database, with their policies.
        log: the event log of this session.
    """

    room: int
    limits: resources.Limits
    states: list[int]
    offered: list[resources.Descriptor] = field(default_factory=list)
    sound: bool = True
    text: bytes = b""
    claims: list[resources.Descriptor] = field(default_factory=list)
    claimed: bytes = b""
    profile: resources.Profile = field(default_factory=resources.Profile)
    own: frozenset[int] = frozenset()
    domains: dict[int, int] = field(default_factory=dict)
    log: events.EventLog = field(default_factory=lambda: events.EventLog(frozenset()))

    @property
    def members(self) -> int:
        """Processors that have joined the session and not left it."""
        return sum(state != OFF for state in self.states)

    def _takes_the_stms_own(self, claim: resources.Descriptor) -> bool:
        """MSEG, or writes of IA32_SMM_MONITOR_CTL."""
        if claim.ranges is None or claim.ignored:
            return False
        space, first, last, access = claim.ranges
        if space == "memory":
            return resources.Profile.touches(claim.ranges, self.limits.mseg)
        return space == "msr" and first <= 64 * SMM_MONITOR_CTL < last and bool(access & resources.WRITE)

    def _join(self, first: bool) -> int:
        """What INITIALIZE_PROTECTION, or the START of another processor, must be answered with."""
        if self.members == 0:
            if any(self._takes_the_stms_own(claim) for claim in self.offered):
                return resources.UNPROTECTABLE
            if not self.sound:
                return UNSPECIFIED
            if not first:
                return UNSPECIFIED  # nobody has called INITIALIZE_PROTECTION
            self.claims, self.claimed = list(self.offered), self.text
            self.profile = resources.Profile()
            self.domains = {}
            self.log = events.EventLog(self.own)
            return SUCCESS
        return SUCCESS if self.members < self.room else OUT_OF_RESOURCES

    def life(self, processor: int, call: int) -> int:
        """INITIALIZE_PROTECTION, START or STOP: its status."""
        state = self.states[processor]
        if call == STOP:
            self.states[processor] = OFF
            return STOPPED if state == OFF else SUCCESS
        if call == INITIALIZE:
            if state != OFF:
                return ALREADY_STARTED
            status = self._join(first=True)
            if status == SUCCESS:
                self.states[processor] = INITIALIZED
            return status
        if state == STARTED:
            return ALREADY_STARTED
        status = SUCCESS if state == INITIALIZED else self._join(first=False)
        if status == SUCCESS:
            self.states[processor] = STARTED
        return status

    def change(self, processor: int, page: bytes, protect: bool) -> tuple[int, list[bool]]:
        """PROTECT_RESOURCE or UNPROTECT_RESOURCE: its status, and ReturnStatus of each descriptor."""
        if self.states[processor] == OFF:
            returned = [one.returned for one in resources.parse(page, self.limits.bits)[0]]
            return UNSPECIFIED, returned
        status, granted = self.profile.apply(page, self.limits, self.claims, protect)
        if status != resources.MALFORMED:
            self._tell_list(page, granted, protect)
        self.tell(PROTECT if protect else UNPROTECT, status)
        return status, granted

    def tell(self, call: int, status: int) -> None:
        """Log a call that is refused for its parameters, of whomever in an open session."""
        if status in BAD_PARAMETERS and self.members:
            self.log.event(INVALID_PARAMETER_EVENT, struct.pack("<I", call))

    def _tell_list(self, page: bytes, granted: list[bool], protect: bool) -> None:
        """Log each descriptor that is not to be ignored, with its ReturnStatus."""
        good, bad = (GRANTED_EVENT, DENIED_EVENT) if protect else (UNPROTECT_EVENT, UNPROTECT_ERROR_EVENT)
        for one, grant in zip(resources.parse(page, self.limits.bits)[0], granted, strict=True):
            if not one.ignored:
                text = bytearray(page[one.offset : one.offset + one.length])
                text[6] = text[6] & 0xFE | grant
                self.log.event(good if grant else bad, bytes(text))

    def manage_domain(self, processor: int, vmcs: int, policy: int, add: int) -> int:
        """MANAGE_VMCS_DATABASE: its status."""
        status = SUCCESS
        if self.states[processor] == OFF:
            return UNSPECIFIED
        if not self._is_executives(vmcs & ~0xFFF):
            status = SECURITY_VIOLATION
        elif vmcs & 0xFFF or policy >> 10 or add > 1 or (add and policy >> 4 & 3 == 2):
            status = INVALID_PARAMETER
        elif (vmcs in self.domains) == bool(add):
            status = INVALID_VMCS_DATABASE
        elif add:
            self.domains[vmcs] = policy
        else:
            del self.domains[vmcs]
        self.tell(DATABASE, status)
        return status

    def manage_log(self, processor: int, function: int, value: int, pages: list[int]) -> int:
        """MANAGE_EVENT_LOG: its status."""
        if self.states[processor] == OFF:
            return UNSPECIFIED
        status = self.log.manage(function, value, pages)
        self.tell(EVENT_LOG, status)
        return status

    def _is_executives(self, page: int) -> bool:
        """Not SMRAM, not between TSEG and 4 GB, and there."""
        legacy, below_4gb = range(0xA_0000, 0xC_0000), range(self.limits.tseg.start, 1 << 32)
        return page not in legacy and page not in below_4gb and page < 1 << self.limits.bits

    def look_up(self, address: int, length: int) -> int:
        """ADDRESS_LOOKUP of somebody whose addresses are physical ones: its status."""
        page = resources.PAGE
        for number in range(address // page, (address + length - 1) // page + 1):
            if number * page >> self.limits.bits:
                return PAGE_NOT_FOUND  # the bits are reserved in an entry
            if number * page in self.limits.mseg:
                return SECURITY_VIOLATION
            if any(("memory", number, access) in self.profile.places for access in (1, 2, 4)):
                return SECURITY_VIOLATION
        return SUCCESS
