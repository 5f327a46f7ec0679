# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The VMCS database of MANAGE_VMCS_DATABASE against a dictionary: Domain/Database.c."""

from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.host.conftest import Build

PLACES, LIMIT = 256, 192
PRESENT = 1 << 11
SUCCESS, INVALID_DATABASE, OUT_OF_RESOURCES = 0, 0x8001_000C, 0x8001_0015
INVALID_PARAMETER = 0x8003_8002
REMOVE, ADD = 0, 1


class Domains(ctypes.Structure):
    """STM_DOMAINS."""

    _fields_ = (("lock", ctypes.c_uint32), ("count", ctypes.c_uint32), ("pointer", ctypes.c_void_p))

    def __init__(self) -> None:
        super().__init__()
        self.places = (ctypes.c_uint64 * PLACES)()
        self.pointer = ctypes.addressof(self.places)


class Request(ctypes.Structure):
    """STM_VMCS_DATABASE_REQUEST."""

    _pack_ = 1
    _fields_ = (("vmcs", ctypes.c_uint64), ("policy", ctypes.c_uint32), ("add", ctypes.c_uint32))


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    sources = ("StmPkg/Stm/Domain/Database.c", "StmPkg/Stm/Domain/Type.c")
    library = build_library("domain", "tests/host/domain_stub.c", *sources)
    library.StmDomainFind.restype = library.StmDomainManage.restype = ctypes.c_uint32
    library.StmDomainJudge.restype = ctypes.c_bool
    return library


def find(library: ctypes.CDLL, domains: Domains, vmcs: int) -> int:
    return int(library.StmDomainFind(ctypes.byref(domains), ctypes.c_uint64(vmcs)))


def manage(library: ctypes.CDLL, domains: Domains, vmcs: int, policy: int, add: int) -> int:
    request = Request(vmcs, policy, add)
    return int(library.StmDomainManage(ctypes.byref(domains), ctypes.byref(request)))


def crowded() -> list[int]:
    """Pages whose searches all begin at one place: what a hostile executive monitor would register."""
    factor = 0x9E37_79B9_7F4A_7C15
    same = [page for page in range(100_000) if (page * factor) % 2**64 >> 56 == PLACES - 2]
    return [page << 12 for page in same[:40]]


CROWDED = crowded()
vmcss = st.one_of(st.sampled_from(CROWDED), st.integers(0, 60).map(lambda page: page << 12), st.just(0xFF_FFFF_F000))
policies = st.builds(
    lambda kind, xstate, degraded: kind | xstate << 4 | degraded << 6,
    st.integers(0, 15), st.sampled_from((0, 1, 3)), st.integers(0, 15),
)  # fmt: skip


def test_any_sequence_of_requests(library: ctypes.CDLL) -> None:
    """A record is found from its ADD to its REMOVE, with the policy it was given, and no other is."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.domains = Domains()
            self.model: dict[int, int] = {}

        @rule(vmcs=vmcss, policy=policies)
        def add(self, vmcs: int, policy: int) -> None:
            known = vmcs in self.model
            assert manage(library, self.domains, vmcs, policy, ADD) == (INVALID_DATABASE if known else SUCCESS)
            self.model.setdefault(vmcs, policy)

        @rule(vmcs=vmcss, policy=policies)
        def remove(self, vmcs: int, policy: int) -> None:
            known = self.model.pop(vmcs, None)
            wanted = INVALID_DATABASE if known is None else SUCCESS
            assert manage(library, self.domains, vmcs, policy, REMOVE) == wanted

        @invariant()
        def finds_what_is_there(self) -> None:
            assert self.domains.count == len(self.model)
            assert not any(place & 1 for place in self.domains.places), "an entry that refers to a page"
            for vmcs in (*self.model, 0x1234_5000):
                policy = self.model.get(vmcs)
                assert find(library, self.domains, vmcs) == (0 if policy is None else policy | PRESENT)

        @invariant()
        def leaves_no_marks_when_empty(self) -> None:
            if not self.model:
                assert not any(self.domains.places)

    run_state_machine_as_test(Machine, settings=settings(max_examples=100, stateful_step_count=60, deadline=None))


def test_removed_record_matches_no_longer(library: ctypes.CDLL) -> None:
    """Also where a search goes on behind it."""
    domains = Domains()
    for vmcs in CROWDED[:3]:
        assert manage(library, domains, vmcs, 12, ADD) == SUCCESS
    assert manage(library, domains, CROWDED[1], 0, REMOVE) == SUCCESS
    assert [find(library, domains, vmcs) for vmcs in CROWDED[:3]] == [12 | PRESENT, 0, 12 | PRESENT]


def test_full(library: ctypes.CDLL) -> None:
    """The limit is reached, not passed; what is there stays; one that is removed makes room."""
    domains = Domains()
    pages = [page << 12 for page in range(1, LIMIT + 2)]
    for vmcs in pages[:LIMIT]:
        assert manage(library, domains, vmcs, 4, ADD) == SUCCESS
    before = bytes(domains), bytes(domains.places)
    assert manage(library, domains, pages[LIMIT], 4, ADD) == OUT_OF_RESOURCES
    assert manage(library, domains, pages[0], 4, ADD) == INVALID_DATABASE
    assert (bytes(domains), bytes(domains.places)) == before
    assert all(find(library, domains, vmcs) == 4 | PRESENT for vmcs in pages[:LIMIT])
    assert manage(library, domains, pages[7], 0, REMOVE) == SUCCESS
    assert manage(library, domains, pages[LIMIT], 4, ADD) == SUCCESS


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("known", [False, True])
def test_parameters(library: ctypes.CDLL, known: bool, vmcs: int, policy: int, add: int) -> None:
    """What is reserved is refused, and changes nothing."""
    domains = Domains()
    if known:
        assert manage(library, domains, vmcs & ~0xFFF, 1, ADD) == SUCCESS
    before = bytes(domains)
    allowed = vmcs % 4096 == 0 and policy >> 10 == 0 and (add == REMOVE or (add == ADD and policy >> 4 & 3 != 2))
    status = manage(library, domains, vmcs, policy, add)
    if not allowed:
        assert status == INVALID_PARAMETER
    if status != SUCCESS:
        assert bytes(domains) == before
    assert (status == SUCCESS) == (allowed and (add == ADD) != known)


@pytest.mark.parametrize(
    ("policy", "add", "status"),
    [(0, ADD, SUCCESS), (0x3DF, ADD, SUCCESS), (0x20, ADD, INVALID_PARAMETER), (1 << 10, ADD, INVALID_PARAMETER),
     (1 << 31, ADD, INVALID_PARAMETER), (0, 2, INVALID_PARAMETER), (0, REMOVE, INVALID_DATABASE)],
)  # fmt: skip
def test_each_field(library: ctypes.CDLL, policy: int, add: int, status: int) -> None:
    assert manage(library, Domains(), 0x1000, policy, add) == status
    assert manage(library, Domains(), 0x1001, policy, add) == INVALID_PARAMETER


# What a type means for one SMI, by the table of domain types in docs/reference/stm-api.rst.

NO_OUT, NO_IN, INTEGRITY, CONFIDENTIALITY = 1, 2, 4, 8
TRAP_IN, TRAP_OUT, TRAP_API = 1, 2, 4


class Smi(ctypes.Structure):
    """STM_DOMAIN_SMI."""

    _fields_ = (("type", ctypes.c_uint32), ("shown", ctypes.c_uint32), ("taken", ctypes.c_uint32))


def judge(
    library: ctypes.CDLL, kind: int, degradation: int, trap: int | None, size: int, reads: bool
) -> tuple[int, int, int] | None:
    """(type, shown, taken) of an SMI; None if it takes a degradation that is excluded."""
    smi = Smi()
    descriptor = None
    if trap is not None:
        descriptor = ctypes.create_string_buffer(struct.pack("<IHHHHHH", 6, 16, 0, 0x60, 5, trap, 0))
    good = library.StmDomainJudge(
        ctypes.c_uint32(kind | degradation << 6 | PRESENT),
        descriptor,
        ctypes.c_uint64((size - 1) | reads << 3 | 0x60 << 16),
        ctypes.byref(smi),
    )
    return (smi.type, smi.shown, smi.taken) if good else None


@settings(deadline=None, max_examples=300)
@given(
    st.integers(0, 15), st.integers(0, 15), st.one_of(st.none(), st.integers(0, 7)), st.sampled_from((1, 2, 4)),
    st.booleans(),
)  # fmt: skip
def test_type_of_an_smi(
    library: ctypes.CDLL, kind: int, degradation: int, trap: int | None, size: int, reads: bool
) -> None:
    mask = (1 << 8 * size) - 1
    wanted = (kind, 0, 0)
    if kind and trap is not None:
        if trap & TRAP_API:
            wanted = (0, 0, 0)
        elif reads and trap & TRAP_IN:
            wanted = (kind & ~NO_IN, mask, mask)
        elif not reads and trap & TRAP_OUT:
            wanted = (kind & ~NO_OUT, mask, 0)
    excluded = kind & ~wanted[0] & degradation
    assert judge(library, kind, degradation, trap, size, reads) == (None if excluded else wanted)


def test_fully_protected_domain_by_example(library: ctypes.CDLL) -> None:
    full = NO_OUT | NO_IN | INTEGRITY | CONFIDENTIALITY
    assert judge(library, full, full, None, 1, False) == (full, 0, 0)
    assert judge(library, full, full, TRAP_OUT, 1, False) is None
    assert judge(library, full, 0, TRAP_OUT, 1, False) == (full & ~NO_OUT, 0xFF, 0)
    assert judge(library, full, 0, TRAP_OUT, 2, True) == (full, 0, 0)
    assert judge(library, full, 0, TRAP_IN, 4, True) == (full & ~NO_IN, 0xFFFF_FFFF, 0xFFFF_FFFF)
    assert judge(library, INTEGRITY, CONFIDENTIALITY, TRAP_API, 1, False) == (0, 0, 0)
