# SPDX-License-Identifier: BSD-2-Clause-Patent
"""plain-vmm on synthetic logs: the table, and which expectation fails when an SMI goes elsewhere."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from build_scripts.experiments.plain_vmm import IPIS, LEAST_VARIABLE_SMIS, PORT_SMIS, PlainVmm, rows
from build_scripts.experiments.shell_experiment import ShellSeen
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import RecordError
from build_scripts.observation.exits import ExitCounts, SmiExits, exit_counts
from build_scripts.observation.show import words_of

from .seen import booted, complaints, seen
from .streams import Logs

NUMBERS = {"port-b2": PORT_SMIS, "variable": LEAST_VARIABLE_SMIS + 1, "ipi": IPIS}
REASONS = {"port-b2": 5, "variable": 5, "ipi": 6}


class Vmm:
    """Writes the logs of one boot, and counts as the executive monitor does."""

    def __init__(self, folder: Path) -> None:
        self.logs = Logs(folder)
        self.logs.app("script", "line=1 cmd=x")
        self.counts: dict[int, int] = {}

    def exit(self, reason: int) -> None:
        self.logs.transition("exit", "guest", "root", reason)
        self.logs.transition("entry", "root", "guest")
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def record(self, stm: bool) -> None:
        self.exit(18)
        counts = {5: 0, 6: 0} | self.counts
        text = ",".join(f"{reason}:{count}" for reason, count in sorted(counts.items()))
        self.logs.record("executive.log", "EXEC", "exits", f"stm={int(stm)} counts={text}")

    def session(self, stm: bool) -> None:
        """One launch, and SMIs of each cause."""
        self.counts = {}
        self.logs.record("executive.log", "EXEC", "launch", "vmcs=0x1000")
        # The boot processor's guest goes on while others are launched.
        self.exit(30)
        self.logs.record("executive.log", "EXEC", "launch", "vmcs=0x2000")
        self.record(stm)
        for cause, number in NUMBERS.items():
            self.logs.app("smi-begin", f"cause={cause}")
            for _ in range(number):
                self.exit(10)
                self.smi(stm, REASONS[cause])
            self.logs.app("smi-end", f"counted={number}")
            self.record(stm)
        self.logs.record("executive.log", "EXEC", "vmxoff", "region=0x3000")
        self.logs.record("executive.log", "EXEC", "vmxoff", "region=0x4000")

    def smi(self, stm: bool, reason: int) -> None:
        if not stm:
            self.logs.default_smi()
            return
        self.logs.transition("smm-exit", "guest", "stm", reason)
        self.logs.transition("handler-entry", "stm", "handler")
        self.logs.transition("handler-exit", "handler", "stm", 17)
        self.logs.transition("smm-return", "stm", "guest")


@pytest.fixture
def plain(tmp_path: Path) -> Vmm:
    made = Vmm(tmp_path / "plain")
    made.session(stm=False)
    return made


@pytest.fixture
def dual(tmp_path: Path) -> Vmm:
    made = Vmm(tmp_path / "dual")
    made.session(stm=False)
    made.session(stm=True)
    return made


def both(plain: Vmm, dual: Vmm) -> ShellSeen:
    return seen(plain.logs.folder, booted(plain.logs, Configuration.NO_DUAL_MONITOR), booted(dual.logs))


def failing(plain: Vmm, dual: Vmm) -> str:
    return complaints(PlainVmm().expectations(both(plain, dual)))


def told(run: ShellSeen) -> str:
    """What the screen shows."""
    out = StringIO()
    PlainVmm().story(run, Console(file=out, width=120))
    return out.getvalue()


def test_good_run(plain: Vmm, dual: Vmm) -> None:
    found = rows(both(plain, dual))
    assert [(row.situation.stm, row.cause, row.counted, row.taken.served_by) for row in found] == [
        (stm, cause, number, "stm" if stm else "handler")
        for stm in (False, False, True)
        for cause, number in NUMBERS.items()
    ]
    # Each cause with its own other exits, and the one by which the counts are read.
    assert [row.executive for row in found] == [SmiExits(0, 0, number + 1) for number in NUMBERS.values()] * 3
    assert [row.taken.smm for row in found[6:]] == [SmiExits(5, 0, 0), SmiExits(7, 0, 0), SmiExits(0, 5, 0)]
    assert [row.by_reason for row in found] == [{10: number, 18: 1} for number in NUMBERS.values()] * 3
    assert failing(plain, dual) == ""


def test_other_processors_have_rows_of_their_own(plain: Vmm, dual: Vmm) -> None:
    """A broadcast SMI: five on processor 1, three on processor 3, none on processor 2."""
    plain.logs.app("smi-begin", "cause=port-b2")
    for cpu, number in ((0, PORT_SMIS), (3, 3), (1, PORT_SMIS)):
        for _ in range(number):
            plain.logs.default_smi(cpu)
    plain.logs.app("smi-end", f"counted={PORT_SMIS}")
    plain.record(False)
    run = both(plain, dual)
    others = [(taken.cpu, taken.smis, taken.served_by) for row in rows(run) for taken in row.others]
    assert others == [(1, PORT_SMIS, "handler"), (3, 3, "handler")]
    text = told(run)
    assert re.search(rf"port-b2 +handler +0 +{PORT_SMIS} ", text)
    assert re.search(rf"handler +1 +\({PORT_SMIS}\) ", text) and re.search(r"handler +3 +\(3\) ", text)


def test_other_processor_without_the_treatment(plain: Vmm, dual: Vmm) -> None:
    dual.logs.app("smi-begin", "cause=port-b2")
    for _ in range(PORT_SMIS):
        dual.smi(True, 5)
        dual.logs.default_smi(1)
    dual.logs.app("smi-end", f"counted={PORT_SMIS}")
    dual.record(True)
    assert "VMM and STM: served by, on other processors: expected stm, saw handler" in failing(plain, dual)


@pytest.mark.parametrize("reason", [5, 6])
def test_executive_that_sees_one(plain: Vmm, dual: Vmm, reason: int) -> None:
    plain.logs.app("smi-begin", "cause=port-b2")
    for _ in range(PORT_SMIS):
        plain.logs.default_smi()
    plain.exit(reason)
    plain.logs.app("smi-end", f"counted={PORT_SMIS}")
    plain.record(False)
    assert "VMM alone, no treatment: exits to the VMM for SMIs: expected 0, saw 1" in failing(plain, dual)


def test_counter_that_stands_still(plain: Vmm, dual: Vmm) -> None:
    """An executive monitor that counts nothing would see no SMI either."""
    plain.logs.lines["executive.log"] = [
        line.partition(" counts=")[0] + (" counts=5:0,6:0,18:9" if "ev=exits" in line else "")
        for line in plain.logs.lines["executive.log"]
    ]
    text = failing(plain, dual)
    assert "VMM alone, no treatment: its other exits, as traced: expected 18, saw 0" in text


def test_smi_that_the_stm_did_not_get(plain: Vmm, dual: Vmm) -> None:
    dual.logs.app("smi-begin", "cause=ipi")
    for _ in range(IPIS - 1):
        dual.smi(True, 6)
    dual.smi(False, 6)
    dual.logs.app("smi-end", f"counted={IPIS}")
    dual.record(True)
    text = failing(plain, dual)
    assert "VMM and STM: served by: expected stm, saw both; stm" in text


def test_first_machine_alone(plain: Vmm) -> None:
    """If the second boot never was, all that is about it fails."""
    found = PlainVmm().expectations(seen(plain.logs.folder, booted(plain.logs, Configuration.NO_DUAL_MONITOR)))
    failed = [expectation.name for expectation in found if not expectation.passed]
    assert failed == [expectation.name for expectation in found if re.search("unused|STM", expectation.name)]
    assert len(failed) == 16


def test_record_without_counts(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.record("executive.log", "EXEC", "exits", "stm=0 counts=5,6")
    with pytest.raises(RecordError, match="no pairs of reason and count"):
        exit_counts(booted(logs).stream)


def test_record_in_words(plain: Vmm) -> None:
    stream = booted(plain.logs).stream
    assert words_of(stream.of("EXEC", "exits")[0]) == (
        "executive monitor: VM exits so far: I/O SMI 0, other SMI 0, VMCALL 1, I/O instruction 1"
    )
    assert ExitCounts.parse(stream.of("EXEC", "exits")[-1]).counts == {5: 0, 6: 0, 10: 17, 18: 4, 30: 1}
