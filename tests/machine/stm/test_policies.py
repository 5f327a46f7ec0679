# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's optional policies on several processors: rendezvous of SMIs, snapshot of what a handler reads.

Whoever must see a change waits for it, and whoever must be late has instructions counted as time, so that a busy host
changes nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.observation.events import Kind
from tests.machine.stm.test_many import CPUID, EPT_VIOLATION, PROTECTION_EXCEPTION, of, run
from tests.machine.stm.test_protect import ABOVE_4GB
from tests.machine.stm.test_stm import MSEG_BASE, extra_arguments, read_run

#: Limits of a rendezvous, in nanoseconds, the machine's ticks: one that a busy host keeps, and one that is waited for.
LIMIT, SHORT_LIMIT = 20_000_000_000, 100_000_000
#: Instructions counted: time does not pass while the host does something else.
COUNTED = ("-icount", "shift=5,sleep=off")
PAGES = 64
POLICIES = {
    "none": {},
    "rendezvous": {"RENDEZVOUS": LIMIT},
    "snapshot": {"SNAPSHOT": PAGES},
    "both": {"RENDEZVOUS": LIMIT, "SNAPSHOT": PAGES},
}
#: Pages of MSEG, 2 MB, that no image leaves free; what the STM says about them.
TOO_MANY, BAD_LOADER_DATA = 511, 1


@pytest.mark.parametrize("thread", ["single", "multi"])
@pytest.mark.parametrize("policy", POLICIES)
def test_double_fetch(qemu: Path, mseg: Path, tmp_path: Path, policy: str, thread: str) -> None:
    """Processor 1 changes what the handler of processor 0 reads twice, and what it writes there is not lost.

    Under rendezvous it is in SMM meanwhile. Under snapshot it is not, and the handler does not see it.
    """
    outcome, records = run(qemu, mseg, tmp_path, "fetch", 2, thread=thread, policy=POLICIES[policy])
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == of(records, "rendezvous-late") == []
    (seen,) = (int(check.detail) for check in outcome.checks if check.name == "double-fetch")
    assert (seen > 0) == (policy == "none")


@pytest.mark.parametrize("policy", ["rendezvous", "both"])
def test_processor_that_does_not_come(qemu: Path, mseg: Path, tmp_path: Path, policy: str) -> None:
    """It is told once and not waited for again; its SMI is pending, and its handler runs before anything else."""
    short = {**POLICIES[policy], "RENDEZVOUS": SHORT_LIMIT}
    outcome, records = run(qemu, mseg, tmp_path, "absent", 2, thread="single", policy=short, more=COUNTED)
    assert outcome.problems(expect_shutdown=False) == []
    (late,) = of(records, "rendezvous-late")
    assert [late.number(name) for name in ("cpu", "other", "apic", "called", "started")] == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("thread", ["single", "multi"])
@pytest.mark.parametrize("policy", ["rendezvous", "snapshot", "both"])
def test_start_and_stop(qemu: Path, mseg: Path, tmp_path: Path, policy: str, thread: str) -> None:
    """Calls of one processor, SMIs of others: nobody waits for ever, and every SMI is served."""
    outcome, records = run(qemu, mseg, tmp_path, "flat", 4, thread=thread, policy=POLICIES[policy])
    assert outcome.problems(expect_shutdown=False) == []
    assert of(records, "crash") == of(records, "rendezvous-late") == []
    assert len(of(records, "smi")) >= 4 * 9


def test_copies(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """A handler reads what is there now, its writes come to stay after RSM, and each page costs a VM exit or two."""
    more = (*extra_arguments(tmp_path)[4:], *ABOVE_4GB)
    outcome, _records = run(qemu, mseg, tmp_path, "copies", 1, thread="single", policy=POLICIES["snapshot"], more=more)
    seen = read_run(tmp_path, outcome)
    assert outcome.problems(expect_shutdown=False) == []
    assert seen.of("crash") == []
    touches = [one for one in seen.transitions if one.kind is Kind.HANDLER_EXIT and one.basic_reason == EPT_VIOLATION]
    assert {one.qualification & 7 for one in touches} == {1, 2}


@pytest.mark.parametrize("pages", [8, 40])
def test_more_than_there_are_pages(qemu: Path, mseg: Path, tmp_path: Path, pages: int) -> None:
    """A crash that names the page and the limit, and a reset."""
    outcome, records = run(qemu, mseg, tmp_path, "full", 1, thread="single", policy={"SNAPSHOT": pages})
    assert [check for check in outcome.checks if not check.passed] == []
    assert outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in outcome.log
    (crash,) = of(records, "crash")
    assert (crash.fields["class"], crash.number("error")) == ("snapshot-full", pages)
    assert crash.number("qual") % 0x1000 == 0 and crash.number("qual") < MSEG_BASE


def test_pages_that_mseg_has_no_room_for(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    _outcome, records = run(qemu, mseg, tmp_path, "copies", 1, thread="single", policy={"SNAPSHOT": TOO_MANY})
    (crash,) = of(records, "crash")
    assert (crash.fields["class"], crash.number("error")) == ("bad-state", BAD_LOADER_DATA)


@pytest.mark.parametrize("thread", ["single", "multi"])
def test_page_protected_under_a_handler(qemu: Path, mseg: Path, tmp_path: Path, thread: str) -> None:
    """The handler of processor 1 has a copy of the page that processor 0 protects: it loses it at its next VM exit."""
    outcome, records = run(qemu, mseg, tmp_path, "guard", 2, thread=thread, policy=POLICIES["snapshot"])
    assert [check for check in outcome.checks if not check.passed] == []
    assert outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in outcome.log
    (crash,) = of(records, "crash")
    assert (crash.fields["class"], crash.number("cpu")) == ("protection-exception", 1)
    assert (crash.number("reason"), crash.number("error")) == (EPT_VIOLATION, PROTECTION_EXCEPTION)
    # A CPUID follows each read that it could do. Behind the last one it has to touch all its copies again.
    reasons = [record.number("reason") for record in of(records, "exit") if record.number("cpu") == 1]
    assert reasons.count(CPUID) > 10
    assert set(reasons[-2:]) == {EPT_VIOLATION}
