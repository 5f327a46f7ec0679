# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine does what the rules as a program say, and a fault of either is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from build_scripts.model import campaign, compare, entries, exits, sequences
from build_scripts.model.campaign import Machines
from build_scripts.model.operations import Operation
from build_scripts.model.platform import Platform
from build_scripts.model.processor import Processor
from build_scripts.model.state import MSEG, State, Vmcs

pytestmark = pytest.mark.machine

DRAWN = 1500
EXAMPLES = 250
PHRASE = st.sampled_from(sequences.WAYS) | st.sampled_from(sequences.CHANGED) | st.sampled_from(sequences.SINGLE)
SENT = st.sampled_from(sequences.SENT) | st.sampled_from(sequences.WAITING)
MONITOR_CTL = st.sampled_from((sequences.ENABLED, sequences.ENABLED | 4, MSEG))
# What the random sequences must reach, or they show nothing.
PROGRAMS = ("exec", "guest", "guest-2", "handler", "stm", "smm-guest")
REASONS = (0x3, 0x5, 0x6, 0x11, 0x12, 0x20000005, 0x20000006, 0x20000012, 0x80000021)
ERRORS = (1, 2, 3, 4, 5, 7, 9, 10, 11, 15, 16, 17, 18, 19, 20, 22, 23, 24)
REACHED = {
    *(f"in {program}" for program in PROGRAMS),
    *(f"exit reason {reason:x}H" for reason in REASONS),
    *(f"VMfail {error}" for error in ERRORS),
    "VMfail",
    "exception 6",
    "exception 13",
}
DRAWN_FOR_TWO = {"single": 500, "multi": 60}
REACHED_BY_TWO = {
    *(f"in {program}" for program in PROGRAMS),
    *(f"exit reason {reason:x}H" for reason in (0x3, 0x4, 0x6, 0x12, 0x20000005, 0x20000006, 0x20000012)),
    "start-up",
}


@pytest.fixture
def machines(qemu: Path, tmp_path: Path) -> Iterator[Machines]:
    one = Machines(qemu, tmp_path)
    yield one
    one.drop()


@pytest.fixture(params=["single", pytest.param("multi", marks=pytest.mark.long)])
def two(qemu: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Machines]]:
    """Machines of two processors, of which one runs at a time or both do."""
    one = Machines(qemu, tmp_path, 2, request.param)
    yield request.param, one
    one.drop()


def test_random_sequences(machines: Machines) -> None:
    """All kinds of transitions and failures."""
    result = campaign.run(machines, iter(range(DRAWN)))
    assert [difference.text for difference in result.differences] == []
    assert result.sequences == DRAWN
    assert set(result.reached) >= REACHED, f"never: {REACHED - set(result.reached)}"


def test_sequences_of_hypothesis(machines: Machines) -> None:
    """The same with what Hypothesis makes of it, which also shortens what fails."""

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.booleans(), st.lists(PHRASE, max_size=16), MONITOR_CTL)
    def agree(activated: bool, phrases: list[sequences.Phrase], monitor_ctl: int) -> None:
        one = sequences.sequence([sequences.ACTIVATE] * activated + phrases, monitor_ctl)
        ((_, seen),) = machines.run([one])
        assert compare.first_difference(one, seen) is None, compare.told(one, seen)

    agree()


def test_random_sequences_of_two_processors(two: tuple[str, Machines]) -> None:
    """SMI, NMI, INIT and start-up IPI from one to the other in every state; SMM state and treatment of each."""
    threads, machines = two
    result = campaign.run(machines, iter(range(DRAWN_FOR_TWO[threads])))
    assert [difference.text for difference in result.differences] == []
    assert result.sequences == DRAWN_FOR_TWO[threads]
    assert set(result.reached) >= REACHED_BY_TWO, f"never: {REACHED_BY_TWO - set(result.reached)}"


def test_sequences_of_hypothesis_for_two_processors(qemu: Path, tmp_path: Path) -> None:
    """The same with what Hypothesis makes of it."""
    machines = Machines(qemu, tmp_path, 2)
    parts = st.tuples(st.sampled_from((0, 1)), PHRASE | SENT | st.sampled_from(sequences.BEGINNINGS))

    @seed(1)
    @settings(
        max_examples=EXAMPLES // 2,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(parts, max_size=24), MONITOR_CTL, MONITOR_CTL)
    def agree(phrases: list[tuple[int, sequences.Phrase]], first: int, second: int) -> None:
        one = sequences.sequence([sequences.on(*part) for part in phrases], first, second)
        ((_, seen),) = machines.run([one])
        assert compare.first_difference(one, seen) is None, compare.told(one, seen)

    try:
        agree()
    finally:
        machines.drop()


def _init_remembered(
    self: Processor, operation: Operation, right: Callable[[Processor, Operation], None] = Processor._boundary
) -> None:
    kept = self.state.init_pending and self.state.waits
    right(self, operation)
    self.state.init_pending |= kept


def _one_header_each(self: Platform, *monitor_ctl: int) -> None:
    self.processors = tuple(Processor(value, number) for number, value in enumerate(monitor_ctl))


@pytest.mark.parametrize(
    ("part", "name", "wrong", "told"),
    [(Processor, "_boundary", _init_remembered, "init"), (Platform, "__init__", _one_header_each, "header")],
    ids=["init", "mseg-header"],
)
def test_a_wrong_rule_of_two_processors_is_found(
    part: type, name: str, wrong: object, told: str, qemu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An INIT that outlives wait-for-SIPI; a header that one processor writes and the other does not read."""
    monkeypatch.setattr(part, name, wrong)
    monkeypatch.setattr(campaign, "MOST_DIFFERENCES", 1)
    machines = Machines(qemu, tmp_path, 2)
    try:
        (difference,) = campaign.run(machines, iter(range(DRAWN))).differences
    finally:
        machines.drop()
    assert told in difference.text, difference.text


def _no_features_check(state: State, checks: Callable[[State], int | None] = exits.activation_error) -> int | None:
    return None if (error := checks(state)) == 24 else error


def _two_numbers_swapped(state: State, vmcs: Vmcs, checks: Callable[..., set[int]] = entries.errors) -> set[int]:
    return {{16: 17, 17: 16}.get(error, error) for error in checks(state, vmcs)}


def _link_of_guest_kept(
    state: State,
    basic: int,
    qualification: int = 0,
    length: int | None = None,
    right: Callable[..., None] = exits.smm_vm_exit,
) -> None:
    current = state.current
    right(state, basic, qualification, length)
    if state.vmcs is not None:
        state.vmcs.link = current


@pytest.mark.parametrize(
    ("module", "name", "wrong", "told", "most"),
    [
        (exits, "activation_error", _no_features_check, "header features", 9),
        (entries, "errors", _two_numbers_swapped, "vmwrite executive", 9),
        (exits, "smm_vm_exit", _link_of_guest_kept, "link:", 9),
    ],
    ids=["features", "executive-pointer", "link-pointer"],
)
def test_a_wrong_rule_is_found(
    module: object, name: str, wrong: object, told: str, most: int, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the sequences of the suite; what is left of the first that fails is short and names what is wrong."""
    monkeypatch.setattr(module, name, wrong)
    monkeypatch.setattr(campaign, "MOST_DIFFERENCES", 1)
    result = campaign.run(machines, iter(range(DRAWN)))
    (difference,) = result.differences
    assert told in difference.text, difference.text
    assert len(difference.text.splitlines()) - 2 <= most, difference.text


def test_a_machine_that_stops_is_a_difference(machines: Machines) -> None:
    """Nothing that was not seen counts as equal."""
    one = sequences.drawn(1)
    nothing = compare.first_difference(one, [(None,)] * len(one.operations))
    assert nothing == (0, "nothing was seen")
    ((_, seen),) = machines.run([one])
    assert compare.first_difference(one, seen) is None
