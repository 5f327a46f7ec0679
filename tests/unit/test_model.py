# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The rules as a program, by themselves: the rules they cite, and the way home."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from build_scripts.conformance import shards
from build_scripts.conformance.rules import known_rules
from build_scripts.conformance.shards import Shard
from build_scripts.model import sequences
from build_scripts.model.sequences import ACTIVATE, op, sequence
from build_scripts.model.state import How

RULE = re.compile(r"(?:DM|VMX)-[A-Z]+-\d+")


def test_cited_rules_exist(checkout: Path) -> None:
    """Every id is one of the tables, and most areas of the treatment are cited."""
    text = "".join(path.read_text(encoding="utf-8") for path in (checkout / "build_scripts" / "model").glob("*.py"))
    cited = set(RULE.findall(text))
    assert cited - set(known_rules()) == set()
    assert {name.split("-")[1] for name in cited if name.startswith("DM")} >= {"DEF", "ACT", "EXI", "STM", "RET", "DEA"}
    assert len(cited) > 80


def test_every_sequence_ends_where_the_next_begins() -> None:
    """Outside VMX operation and SMM, with nothing pending."""
    for seed in range(200):
        one = sequences.drawn(seed)
        processor, _ = sequences._performed(one.monitor_ctl, one.operations)
        state = processor.state
        assert not (state.smm or state.dual_monitor or state.smi_pending or state.nmi_pending or state.init_pending)
        assert state.mode.value == "outside VMX operation"


def test_a_sequence_is_the_same_again() -> None:
    """For a seed."""
    assert sequences.drawn(7) == sequences.drawn(7) != sequences.drawn(8)


def test_activation_and_return() -> None:
    """The first transitions that a reader would try."""
    one = sequence([(*ACTIVATE, op("vmlaunch"), op("out"), op("vmresume"))])
    hows = [(seen.program, seen.how) for seen in one.expected[: one.drawn]]
    exec_done = ("exec", How.DONE)
    assert hows == [
        *[exec_done] * 3, ("stm", How.ACTIVATION), ("exec", How.RESUMED), ("stm", How.EXIT), ("exec", How.RESUMED)
    ]  # fmt: skip
    assert one.expected[5].exit is not None and one.expected[5].exit["reason"] == 0x20000005


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


def test_page_says_what_the_campaign_has_done(checkout: Path) -> None:
    """The numbers of the page are those of the file."""
    facts = json.loads((checkout / "docs" / "reference" / "model-campaign.json").read_text(encoding="utf-8"))
    page = (checkout / "docs" / "reference" / "model-campaign.inc").read_text(encoding="utf-8")
    assert f"{facts['sequences']:,} lists, {facts['operations']:,} operations" in " ".join(page.split())
    assert f"{len(facts['differences'])} differences" in page and facts["sequences"] >= 100_000
