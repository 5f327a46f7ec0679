# SPDX-License-Identifier: BSD-2-Clause-Patent
"""resources on synthetic logs: what is declared, touched, missing, unused and proposed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_scripts.experiments.resources import _meet
from build_scripts.observation.events import MachineEvent, Record, RecordError, Stream
from build_scripts.observation.resources import PAGE, Resource, Touch, compare, declared, touched

SMRAM = range(0x1F00_0000, 0x2000_0000)


def access(space: str, letter: str, address: int, size: int = 1) -> MachineEvent:
    fields = {"cpu": "0", "t": "0", "space": space, "access": letter, "address": hex(address), "size": str(size)}
    return MachineEvent("smm_handler_access", fields)


def claim(t: int, kind: str, base: int, length: int, letters: str) -> Record:
    fields = {"type": kind, "base": hex(base), "length": hex(length), "access": letters}
    return Record("EXEC", "bios-resource", t, fields)


def test_declared_is_read_once() -> None:
    records = (
        claim(1, "io", 0x608, 4, "rw"),
        Record("EXEC", "bios-resources", 2, {"pages": "1", "descriptors": "1"}),
        claim(3, "io", 0x608, 4, "rw"),
        Record("EXEC", "bios-resources", 4, {"pages": "1", "descriptors": "1"}),
    )
    assert declared(Stream(records)) == [Resource("io", 0x608, 4, "rw")]


def test_touched_is_outside_smram_and_each_place_once() -> None:
    events = (
        access("memory", "x", 0x1F00_0000, PAGE),
        access("io", "r", 0x608, 4),
        access("memory", "w", 0x1000, PAGE),
        access("memory", "r", 0x1000, PAGE),
        access("msr", "r", 0x1B),
        MachineEvent("vmx_vmfail", {}),
    )
    assert touched(Stream((), events), SMRAM) == [
        *(Touch("io", port, "r") for port in range(0x608, 0x60C)),
        Touch("memory", 0x1000, "rw"),
        Touch("msr", 0x1B, "r"),
    ]


def test_event_without_its_numbers_is_an_error() -> None:
    with pytest.raises(RecordError):
        touched(Stream((), (MachineEvent("smm_handler_access", {"space": "io", "access": "r"}),)), SMRAM)


CLAIMS = [
    Resource("mmio", 0xFEE0_0000, PAGE, "rw"),
    Resource("memory", 0x10_0000, 2 * PAGE, "r"),
    Resource("io", 0x608, 4, "rw"),
    Resource("msr", 0x1B, 1, "r"),
]


def test_compared() -> None:
    touches = [
        Touch("io", 0x608, "r"),
        Touch("io", 0x609, "r"),
        Touch("io", 0x60C, "w"),
        Touch("memory", 0x10_1000, "rw"),
        Touch("memory", 0xFEE0_0000, "w"),
    ]
    found = compare(CLAIMS, touches)
    assert [(use.places, use.access) for use in found.declared] == [(1, "w"), (1, "rw"), (2, "r"), (0, "")]
    assert found.unused == [CLAIMS[3]]
    assert found.undeclared == (Resource("io", 0x60C, 1, "rw"), Resource("memory", 0x10_1000, PAGE, "rw"))
    assert found.proposed == (
        Resource("io", 0x608, 2, "rw"),
        Resource("io", 0x60C, 1, "rw"),
        Resource("memory", 0x10_1000, PAGE, "rw"),
        Resource("mmio", 0xFEE0_0000, PAGE, "rw"),
    )


@pytest.mark.parametrize("kind", ["io", "trapped-io", "all"])
def test_a_claim_of_a_launchers_port_is_seen(kind: str) -> None:
    """Whatever the descriptor's type: a trapped port is a port."""
    ports = Resource("io", 0x60, 5, "rw")
    assert _meet(Resource(kind, 0x60, 5, "rw"), ports)
    assert not _meet(Resource("msr", 0x60, 5, "rw"), ports) and not _meet(Resource("trapped-io", 0x65, 1, "rw"), ports)


def test_claim_of_everything_leaves_nothing_undeclared() -> None:
    found = compare([Resource("all", 0, 0, "rwx")], [Touch("msr", 0x9B, "w")])
    assert found.undeclared == () and found.unused == []


@given(
    st.sets(
        st.one_of(
            st.tuples(st.just("io"), st.integers(0, 40)),
            st.tuples(st.just("msr"), st.integers(0, 10)),
            st.tuples(st.just("memory"), st.integers(0, 20).map(lambda page: page * PAGE)),
        )
    ),
    st.data(),
)
def test_proposal_is_enough_and_no_more(places: set[tuple[str, int]], data: st.DataObject) -> None:
    letters = st.sampled_from(["r", "w", "rw"])
    touches = [Touch(space, place, data.draw(letters)) for space, place in sorted(places)]
    proposed = list(compare([], touches).proposed)
    again = compare(proposed, touches)
    assert again.undeclared == () and again.unused == []
    size = {"io": 1, "msr": 1, "memory": PAGE}
    assert sum(one.length // size[one.type] for one in proposed) == len(touches)
