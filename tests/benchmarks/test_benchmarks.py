# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The benchmarks run, and the page has the tables that they write. Nothing here asserts a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from build_scripts import pages, paths
from build_scripts.benchmarks import engine, page_text
from build_scripts.benchmarks.guests import QUICK
from build_scripts.benchmarks.samples import Log, Sample, What, read_log, spread
from build_scripts.builds import qemu_build, qemu_unpatched
from build_scripts.builds.firmware_build import build_firmware
from build_scripts.conformance.image_build import need_images
from build_scripts.errors import LabError
from build_scripts.sources import sources

PAGE = paths.CHECKOUT / "docs" / "reference" / "performance.rst"
NUMBERS = PAGE.with_suffix(".json")

# Instructions of a round trip as loops.asm has them. One that exits has not been executed.
HOST = 3 + 1 + 1  # DEC, JZ, CALL; RET; VMRESUME
INSTRUCTIONS = {
    "cpuid": 3 + 2 + HOST + 6,  # both loads and JRCXZ, XOR and JMP, on_exit_skip
    "cpuid-vpid": 3 + 2 + HOST + 6,
    "vmcall": 1 + HOST + 6,
    "interrupt": HOST,
    "mtf": 1 + HOST,
    "violation": 4 + HOST + 7,  # the load once more, ADD, DEC, JNZ, on_exit_map
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All benchmarks on a tiny scale; the machine is compared with itself, which nothing has to be built for."""
    need_images()
    machine = qemu_build.find_machine()
    return engine.measure(machine, machine, build_firmware(), QUICK, tmp_path_factory.mktemp("bench"))


@pytest.mark.boot
def test_quick_run(facts: dict[str, Any]) -> None:
    counted = facts["firmware"]["icount"]
    assert counted["ours_instructions"] == counted["unpatched_instructions"] and counted["ours_instructions"][0] > 0
    assert {(row["ept"], row["pages"]) for row in facts["compute"]} == {
        (ept, pages) for ept in page_text.EPT for pages in (64, 256)
    }
    assert {row["name"] for row in facts["round_trips"]} == {*page_text.TRIPS, page_text.TOUCHED}
    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.boot
def test_no_hidden_instruction(facts: dict[str, Any]) -> None:
    """A transition counts as no instruction of its own, and repeats none."""
    counted = {row["name"]: row["instructions"] for row in facts["round_trips"] if row["pages"] == 0}
    assert {name: counted[name] for name in INSTRUCTIONS} == INSTRUCTIONS


@pytest.mark.boot
def test_quick_run_has_the_page_s_form(facts: dict[str, Any]) -> None:
    def form(text: str) -> list[str]:
        """The lines without numbers: titles, options, first cells of rows."""
        return [line for line in text.splitlines() if not line.startswith("     - ") and "pairs each" not in line][2:]

    _, inner, _ = pages.split(PAGE.read_text(encoding="utf-8"))
    assert form(page_text.generated(facts)) == form(inner.strip("\n"))


@pytest.mark.unit
def test_page_is_what_the_script_writes() -> None:
    """Run the command that the page names if this fails."""
    facts = json.loads(NUMBERS.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    before, _, behind = pages.split(text)
    assert text == f"{before}\n{page_text.generated(facts)}\n{behind}"


@pytest.mark.unit
def test_update_replaces_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.rst"
    page.write_text(f"title\n{pages.BEGIN}old\n{pages.END}rest\n", encoding="utf-8")
    facts = json.loads(NUMBERS.read_text(encoding="utf-8"))
    page_text.update(page, facts)
    once = page.read_text(encoding="utf-8")
    assert once.startswith("title\n") and once.endswith("rest\n") and "old" not in once
    page_text.update(page, facts)
    assert page.read_text(encoding="utf-8") == once
    page.write_text("no such part\n", encoding="utf-8")
    with pytest.raises(LabError, match=r"page\.rst"):
        page_text.update(page, facts)


@pytest.mark.unit
def test_spread() -> None:
    assert spread([3.0]).as_json() == {"median": 3.0, "low": 3.0, "high": 3.0, "count": 1}
    assert spread([1.0, 2.0, 3.0, 4.0, 100.0]).as_json() == {"median": 3.0, "low": 2.0, "high": 4.0, "count": 5}


@pytest.mark.unit
def test_log() -> None:
    line = "SAMPLE name=cpuid ept=2m pages=16 rounds=0xa ticks=0x64\n"
    log = read_log(f"{line}noise\n{line}CLOCK ticks=0x64 ns=0x32\n")
    what = What("cpuid", "2m", 16)
    assert log == Log((Sample(what, 10, 100),) * 2, 0.5)
    assert log.whats() == [what]
    assert log.nanoseconds(what).median == 5.0
    for text in ("CLOCK ticks=0x64 ns=0x32\n", line):
        with pytest.raises(ValueError, match="no SAMPLE or no CLOCK"):
            read_log(text)


@pytest.mark.unit
def test_instructions_are_exact_or_none() -> None:
    what = What("cpuid")
    log = Log((Sample(what, 10, 165), Sample(what, 10, 165), Sample(what, 20, 325)), 1.0)
    assert log.instructions(what) == 16
    for other in (Sample(what, 10, 166), Sample(what, 30, 326)):
        with pytest.raises(ValueError, match="not the same number"):
            Log((*log.samples, other), 1.0).instructions(what)
    with pytest.raises(ValueError, match="not the same number"):
        Log((Sample(what, 10, 165),), 1.0).instructions(what)


@pytest.mark.unit
def test_flush_prices() -> None:
    def row(name: str, pages: int, nanoseconds: float) -> dict[str, Any]:
        return {"name": name, "ept": "none", "pages": pages, "nanoseconds": {"median": nanoseconds}}

    rows = [
        *(row("native-touch", pages, time) for pages, time in ((0, 2.0), (10, 12.0))),
        *(row("native-flush", pages, time) for pages, time in ((0, 1000.0), (10, 2010.0))),
        *(row("cpuid", pages, time) for pages, time in ((0, 4000.0), (10, 5010.0))),
    ]
    prices = {(price["name"], price["pages"]): price for price in page_text.flush_prices(rows)}
    assert prices["cpuid", 0]["share"] == 0.5 and prices["cpuid", 0]["page"] == 0.0
    assert prices["cpuid", 10]["page"] == 100.0
    assert prices["cpuid", 10]["share"] == 3000.0 / 5010.0
    assert prices["native-flush", 10]["page"] == 100.0


@pytest.mark.unit
def test_unpatched_qemu_does_not_depend_on_our_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = sources.Tree(tmp_path, "1", "test", "test-1")
    keys = qemu_build.binary_key(tree), qemu_unpatched.unpatched_key(tree)
    monkeypatch.setattr(qemu_build, "OVERLAY", tmp_path)
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    assert qemu_build.binary_key(tree) != keys[0]
    assert qemu_unpatched.unpatched_key(tree) == keys[1] != keys[0]
