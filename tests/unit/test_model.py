# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rules as a program, by themselves: the rules they cite, and the way home."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts.conformance import shards
from build_scripts.conformance.rules import known_rules
from build_scripts.conformance.shards import Shard
from build_scripts.model import sequences
from build_scripts.model.operations import Operation
from build_scripts.model.processor import Observation
from build_scripts.model.sequences import ACTIVATE, ENABLED, Sequence, on, op, sequence
from build_scripts.model.state import How

Found = tuple[str, str]
RULE = re.compile(r"(?:DM|VMX)-[A-Z]+-\d+")


def _found(seen: Observation | None) -> Found:
    return (seen.program, seen.how) if seen is not None else ("-", "-")


def test_cited_rules_exist(checkout: Path) -> None:
    """Every id is one of the tables, and most areas of the treatment are cited."""
    text = "".join(path.read_text(encoding="utf-8") for path in (checkout / "build_scripts" / "model").glob("*.py"))
    cited = set(RULE.findall(text))
    assert cited - set(known_rules()) == set()
    assert {name.split("-")[1] for name in cited if name.startswith("DM")} >= {"DEF", "ACT", "EXI", "STM", "RET", "DEA"}
    assert len(cited) > 80


@pytest.mark.parametrize("draw", [sequences.drawn, sequences.drawn_for_two])
def test_every_sequence_ends_where_the_next_begins(draw: Callable[[int], Sequence]) -> None:
    """Outside VMX operation and SMM, with nothing pending, and running."""
    for seed in range(200):
        one = draw(seed)
        platform, _ = sequences._performed(one.monitor_ctl, one.operations)
        for state in (processor.state for processor in platform.processors):
            assert not (state.smm or state.dual_monitor or state.smi_pending or state.nmi_pending or state.init_pending)
            assert state.mode.value == "outside VMX operation" and not state.waits


@pytest.mark.parametrize("draw", [sequences.drawn, sequences.drawn_for_two])
def test_a_sequence_is_the_same_again(draw: Callable[[int], Sequence]) -> None:
    """For a seed."""
    assert draw(7) == draw(7) != draw(8)


def test_activation_and_return() -> None:
    """The first transitions that a reader would try."""
    one = sequence([(*ACTIVATE, op("vmlaunch"), op("out"), op("vmresume"))])
    hows = [_found(happened.seen[0]) for happened in one.expected[: one.drawn]]
    exec_done = ("exec", How.DONE)
    assert hows == [
        *[exec_done] * 3, ("stm", How.ACTIVATION), ("exec", How.RESUMED), ("stm", How.EXIT), ("exec", How.RESUMED)
    ]  # fmt: skip
    (behind_out,) = one.expected[5].seen
    assert behind_out is not None and behind_out.exit is not None and behind_out.exit["reason"] == 0x20000005


def test_two_processors() -> None:
    """Each has treatment and pointers of its own; an SMI of the other one is taken, an INIT is blocked."""
    smi, init = (on(0, (Operation(name, other=True),)) for name in ("smi", "init"))
    active = on(1, (*ACTIVATE, op("vmlaunch")))
    one = sequence([smi, on(1, (op("rsm"),)), active, smi, on(1, (op("vmresume"),)), init], ENABLED, ENABLED)
    here = [_found(happened.seen[0]) for happened in one.expected[: one.drawn]]
    there = [_found(happened.seen[1]) for happened in one.expected[: one.drawn]]
    done, nothing, back = ("exec", How.DONE), ("-", "-"), ("exec", How.RESUMED)
    by_smi = ("stm", How.EXIT)
    assert here == [done, *[nothing] * 6, done, nothing, done]
    assert there == [
        ("handler", How.SMI), back, *[done] * 3, ("stm", How.ACTIVATION), back, by_smi, back, nothing
    ]  # fmt: skip
    exit_by_smi = one.expected[7].seen[1]
    assert exit_by_smi is not None and exit_by_smi.exit is not None
    assert exit_by_smi.exit["reason"] == 0x20000006 and exit_by_smi.exit["link"] == "A"


def test_start_up() -> None:
    """INIT outside VMX operation waits for a start-up IPI; an SMI that comes before it is taken first."""
    sent = {name: on(0, (Operation(name, other=True),)) for name in ("smi", "init", "sipi")}
    one = sequence([sent["init"], sent["smi"], sent["sipi"], on(1, (op("rsm"),))], ENABLED, ENABLED)
    assert [happened.waiting for happened in one.expected] == [{1}, {1}, frozenset(), frozenset()]
    assert [_found(happened.seen[1]) for happened in one.expected] == [
        ("-", "-"), ("-", "-"), ("handler", How.SMI), ("exec", How.START_UP)
    ]  # fmt: skip
    assert sequence([sent["init"], sent["init"], on(1, (op("cpuid"),))], ENABLED, ENABLED).operations[-1].name == "sipi"


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/4/4", "1.5/2"])
def test_no_share(text: str) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        shards.parse(text)


def test_shares_make_the_whole() -> None:
    """Each item once."""
    items = list(range(23))
    parts = [Shard(n, 4).of(items) for n in range(1, 5)]
    assert sorted(item for part in parts for item in part) == items
    assert shards.missing_or_twice(Shard(n, 4) for n in (3, 1, 2, 4)) == ""
    assert shards.missing_or_twice(Shard(n, 4) for n in (1, 2, 4)) == "share 3/4 is missing"
    assert shards.missing_or_twice(Shard(n, 2) for n in (1, 2, 2)) == "share 2/2 is there twice"
    assert "belong together" in shards.missing_or_twice((Shard(1, 2), Shard(1, 3)))


@pytest.mark.parametrize(("name", "least"), [("model-campaign", 100_000), ("model-campaign-2", 10_000)])
def test_page_says_what_the_campaign_has_done(name: str, least: int, checkout: Path) -> None:
    """The numbers of the page are those of the file."""
    facts = json.loads((checkout / "docs" / "reference" / f"{name}.json").read_text(encoding="utf-8"))
    page = " ".join((checkout / "docs" / "reference" / "model-campaign.inc").read_text(encoding="utf-8").split())
    numbers = (
        f"{facts['sequences']:,} lists, {facts['operations']:,} operations, {len(facts['differences'])} differences"
    )
    assert f"{numbers} (``docs/reference/{name}.json``)" in page and facts["sequences"] >= least
