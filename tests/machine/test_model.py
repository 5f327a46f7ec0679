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
from build_scripts.model.state import MSEG, State, Vmcs

pytestmark = pytest.mark.machine

DRAWN = 1500
EXAMPLES = 250
PHRASE = st.sampled_from(sequences.WAYS) | st.sampled_from(sequences.CHANGED) | st.sampled_from(sequences.SINGLE)
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


@pytest.fixture
def machines(qemu: Path, tmp_path: Path) -> Iterator[Machines]:
    one = Machines(qemu, tmp_path)
    yield one
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
    nothing = compare.first_difference(one, [None] * len(one.operations))
    assert nothing == (0, "nothing was seen")
    ((_, seen),) = machines.run([one])
    assert compare.first_difference(one, seen) is None
