# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The page about the STM's costs, and how its numbers are read from the machine's log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_scripts import pages
from build_scripts.benchmarks import page_text, policies, stm
from build_scripts.errors import LabError
from build_scripts.fuzzing import seeds
from build_scripts.observation.events import read_stream
from build_scripts.observation.report import group_smis
from build_scripts.stm_image import budget, inspect_image

EVENT = "vmx_transition cpu=0 t=1 icount=1 kind={} from=root to=stm vmcs=0x1 exec_vmcs=0x1 reason={} qual=0x0 rip=0x1"
FILE = bytes(0x1000) + b"\x90\x0f\x78\xc8\x48\x0f\x79\xc1\x0f\x77"


def executed(offset: int) -> str:
    return f"Trace 0: 0x7f00 [00000000/{stm.MSEG_BASE + offset:016x}/0008c2b0/ff022201] "


def test_where_the_instructions_are() -> None:
    """With and without a REX prefix; nothing of the headers."""
    assert stm.places(FILE) == {0x1001: 0x78, 0x1004: 0x79, 0x1005: 0x79}
    assert stm.places(b"\x0f\x78" + bytes(0x1000)) == {}


def test_accesses_of_smis() -> None:
    """Those of the SMI, not of a call, nor of what lies between two."""
    opcodes = stm.places(FILE)
    smi = [EVENT.format("smm-exit", "0x20000005"), executed(0x1001), executed(0x1004), executed(0x1004)]
    call = [EVENT.format("smm-exit", "0x20000012"), executed(0x1001)]
    back = [EVENT.format("smm-return", "0x0"), executed(0x1001)]
    lines = [executed(0x1001), *smi, executed(0x1000), *back, *call, *back, *smi[:2], *back]
    assert list(stm._accesses(lines, opcodes)) == [(1, 2), (1, 0)]


def test_block_that_did_not_begin_is_told_twice_and_counts_once() -> None:
    """The machine takes it back where its timers come first."""
    stopped = f"Stopped execution of TB chain before 0x7f00 [{stm.MSEG_BASE + 0x1001:016x}] "
    begin, end = EVENT.format("smm-exit", "0x20000005"), EVENT.format("smm-return", "0x0")
    lines = [begin, executed(0x1001), stopped, executed(0x1001), executed(0x1004), end]
    assert list(stm._accesses(lines, stm.places(FILE))) == [(1, 1)]


def test_smis_that_differ_are_an_error() -> None:
    assert stm._same("x", [3, 3]) == 3
    for values in ([], [3, 4]):
        with pytest.raises(LabError, match="plain SMIs differ in x"):
            stm._same("x", values)


def test_smis_of_several_processors() -> None:
    """Each instruction counts for the processor that executes it, between SMM VM exit and return of an SMI."""

    def of(cpu: int, line: str) -> str:
        return line.replace("cpu=0", f"cpu={cpu}").replace("Trace 0", f"Trace {cpu}")

    begin, end = EVENT.format("smm-exit", "0x20000006"), EVENT.format("smm-return", "0x0")
    entry = EVENT.format("handler-entry", "0x0")
    one = executed(0x1000)
    lines = [one, begin, one, of(1, one), of(1, begin), of(1, one), entry, one, end, one, of(1, one), of(1, end)]
    call = [EVENT.format("smm-exit", "0x20000012"), one, end]
    assert list(policies.smis([*lines, *call])) == [(0, 2, 3), (1, 2, 2)]


def test_bytes_of_mseg() -> None:
    """What the parts add up to is what the loader's formula says."""
    data = seeds.image_file()
    report = inspect_image(data)
    assert report.lab is not None
    parts = budget.budget(report.software, report.lab)
    for row in stm.mseg_bytes(data):
        assert row["bytes"] == budget.total(parts, row["processors"])
    assert [(row["part"], row["bytes"]) for row in stm.parts(data)] == [(part.name, part.size) for part in parts]
    assert "text, executable" in report.text()


def test_the_page_is_what_the_numbers_say(checkout: Path) -> None:
    """Its tables are those of the JSON beside it."""
    facts = json.loads((checkout / "docs/reference/stm-cost.json").read_text())
    page = (checkout / "docs/reference/stm-cost.rst").read_text(encoding="utf-8")
    assert pages.split(page)[1].strip() == page_text.stm_costs(facts).strip()
    assert [row["protected"] for row in facts["smi"]] == list(stm.RANGES)
    assert [row["processors"] for row in facts["mseg"]] == list(stm.PROCESSORS)
    assert [(row["policy"], row["processors"]) for row in facts["policies"]] == [
        (policy.name, processors) for policy in policies.POLICIES for processors in policies.PROCESSORS
    ]


@pytest.mark.parametrize(("processors", "most"), [(1, 147_456), (8, 204_800), (64, 663_552)])
def test_mseg_is_small(checkout: Path, processors: int, most: int) -> None:
    """Bytes of MSEG by the formula of edk2's loader, for the image that was counted."""
    facts = json.loads((checkout / "docs/reference/stm-cost.json").read_text())
    assert {row["processors"]: row["bytes"] for row in facts["mseg"]}[processors] <= most


@pytest.mark.parametrize(("run", "smis"), [("first-light", 18), ("one-smi", 1)])
def test_stored_runs_cost_as_much(run: str, smis: int, checkout: Path) -> None:
    """The screens and pictures of the chapters show the STM that was counted; runs of another are recorded anew.

    first-light is a ``run``, its trace cut to the SMIs that SmiTool raised; activation, one-smi and default-smi are
    pieces of it, standby is one of ``bare sleep``. The others have no counts.
    """
    facts = json.loads((checkout / "docs/reference/stm-cost.json").read_text())
    stream = read_stream(checkout / "docs/runs" / run)
    found = [smi for smi in group_smis(stream.transitions) if smi.dual_monitor and smi.complete]
    counts = [smi.instructions.stm for smi in found if smi.plain and smi.instructions is not None]
    assert counts == [facts["smi"][0]["instructions"]] * smis
    for record in stream.of("FW", "status"):
        assert record.number("mseg_needed") == facts["mseg"][0]["bytes"]
