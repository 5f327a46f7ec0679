# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reference model of the STM's life and of its calls, from the words of StmApi.h and docs/reference/stm-api.rst.

One call at a time: which orders of several processors are safe is what test_session.py searches for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.host import resource_model as resources

START, STOP, PROTECT, UNPROTECT, RESOURCES, DATABASE, INITIALIZE, EVENT_LOG = (0x1_0000 | n for n in range(1, 9))
MAP, UNMAP, LOOKUP, RETURN = range(1, 5)
SUCCESS = 0
SECURITY_VIOLATION, PAGE_NOT_FOUND, BAD_CR3 = 0x8001_0001, 0x8001_0003, 0x8001_0004
ALREADY_STARTED, STOPPED, UNSUPPORTED_MSR_BIT = 0x8001_0008, 0x8001_000A, 0x8001_0018
OUT_OF_RESOURCES, FUNCTION_NOT_SUPPORTED, UNSPECIFIED = 0x8001_0015, 0x8001_0016, 0x8001_FFFF
INVALID_API = 0x8003_8001
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
        claims: the one that this session has read.
        profile: what is protected.
    """

    room: int
    limits: resources.Limits
    states: list[int]
    offered: list[resources.Descriptor] = field(default_factory=list)
    sound: bool = True
    claims: list[resources.Descriptor] = field(default_factory=list)
    profile: resources.Profile = field(default_factory=resources.Profile)

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
        return space == "msr" and first <= SMM_MONITOR_CTL < last and bool(access & resources.WRITE)

    def _join(self, first: bool) -> int:
        """What INITIALIZE_PROTECTION, or the START of another processor, must be answered with."""
        if self.members == 0:
            if any(self._takes_the_stms_own(claim) for claim in self.offered):
                return resources.UNPROTECTABLE
            if not self.sound:
                return UNSPECIFIED
            if not first:
                return UNSPECIFIED  # nobody has called INITIALIZE_PROTECTION
            self.claims = list(self.offered)
            self.profile = resources.Profile()
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
        return self.profile.apply(page, self.limits, self.claims, protect)

    def look_up(self, address: int, length: int) -> int:
        """ADDRESS_LOOKUP of somebody whose addresses are physical ones: its status."""
        page = resources.PAGE
        for number in range(address // page, (address + length - 1) // page + 1):
            if number * page in self.limits.mseg:
                return SECURITY_VIOLATION
            if any(("memory", number, access) in self.profile.places for access in (1, 2, 4)):
                return SECURITY_VIOLATION
        return SUCCESS
