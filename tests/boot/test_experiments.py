# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiments of the UEFI Shell, as a user calls them: every expectation met, by something that was seen."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from build_scripts.errors import ExitCode
from build_scripts.experiments import document
from build_scripts.experiments.catalogue import EXPERIMENTS
from build_scripts.experiments.experiment import DEFAULT_EXPERIMENT
from build_scripts.experiments.plain_vmm import IPIS, LEAST_VARIABLE_SMIS, PORT_SMIS, Situation
from build_scripts.experiments.shell_experiment import ShellExperiment
from build_scripts.experiments.standby import NIGHTS
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import Kind, MachineEvent, Mode
from tests.support.carried import Carried, carry_out
from tests.support.perfetto_trace import Read, hold_against
from tests.support.screens import complaints

from .test_errors import run_command

# first-light has a file of its own, test_run.py.
NAMES = [
    experiment.name
    for experiment in EXPERIMENTS
    if isinstance(experiment, ShellExperiment) and experiment.name != DEFAULT_EXPERIMENT
]


@pytest.mark.parametrize("name", NAMES)
def test_every_expectation_is_met(name: str, session_folder: Path) -> None:
    """And listed on the screen; that nothing seen meets none is a test of its own."""
    run = carry_out((name,), session_folder)
    assert run.status == ExitCode.OK, run.output + run.errors
    document.validate(run.document)
    assert run.document["experiment"] == name and run.document["exit_status"] == 0
    expectations = run.document["expectations"]
    assert [expectation for expectation in expectations if not expectation["passed"]] == []
    assert [expectation for expectation in expectations if expectation["seen"] is None] == []
    assert f"Expectations: {len(expectations)} of {len(expectations)} met" in run.output
    assert complaints(run.output) == []


@pytest.fixture
def plain_vmm(session_folder: Path) -> Carried:
    return carry_out(("plain-vmm",), session_folder)


def test_plain_vmm_has_a_row_for_each_way_and_monitor(plain_vmm: Carried) -> None:
    rows = plain_vmm.document["rows"]
    monitors = [("no-dual-monitor", False), ("dual-monitor", False), ("dual-monitor", True)]
    assert [(row["configuration"], row["stm"], row["cause"]) for row in rows] == [
        (*monitor, cause) for monitor in monitors for cause in ("port-b2", "variable", "ipi")
    ]
    for row in rows:
        if row["cause"] == "variable":
            assert row["counted"] >= LEAST_VARIABLE_SMIS
        else:
            assert row["counted"] == {"port-b2": PORT_SMIS, "ipi": IPIS}[row["cause"]]


def test_executive_monitor_sees_no_smi(plain_vmm: Carried) -> None:
    """By its own counts and by the machine's trace, which has thousands of its other exits."""
    for row in plain_vmm.document["rows"]:
        exits = row["executive_exits"]
        assert (exits["io_smi"], exits["other_smi"]) == (0, 0) and exits["other_reasons"] > 0
        reasons = row["executive_exits_by_reason"]
        assert {"10", "18"} <= set(reasons) and not {"5", "6"} & set(reasons)
        assert sum(reasons.values()) == exits["other_reasons"]
    for stream in plain_vmm.streams:
        reasons = Counter(event.basic_reason for event in stream.transitions if event.kind is Kind.EXIT)
        assert reasons[5] == reasons[6] == 0 and sum(reasons.values()) > 100


def test_every_smi_came_from_the_guest(plain_vmm: Carried) -> None:
    """Under the default treatment: from non-root operation to SMM and back, no exit in between."""
    plain = plain_vmm.streams[0].transitions
    smis = [index for index, event in enumerate(plain) if event.kind is Kind.SMI and event.source is Mode.GUEST]
    assert len(smis) >= PORT_SMIS + IPIS + LEAST_VARIABLE_SMIS
    for index in smis:
        back = plain[index + 1]
        assert back.kind is Kind.RSM and back.target is Mode.GUEST and back.vmcs == plain[index].vmcs


def test_the_stm_sees_what_the_executive_does_not(plain_vmm: Carried) -> None:
    """5 where an OUT raised the SMI, 6 for the interprocessor interrupt."""
    for row in plain_vmm.document["rows"]:
        smm = row["smm_exits"]
        expected = (row["counted"], 0) if row["cause"] != "ipi" else (0, row["counted"])
        assert (smm["io_smi"], smm["other_smi"]) == (expected if row["stm"] else (0, 0))
        assert row["served_by"] == ("stm" if row["stm"] else "handler")
    assert [boot["activations"] for boot in plain_vmm.document["boots"]] == [0, 1]


@pytest.fixture
def plain_vmm_on_two(session_folder: Path) -> Carried:
    return carry_out(("plain-vmm", "--processors", "2"), session_folder)


def test_plain_vmm_shows_every_processor(plain_vmm_on_two: Carried) -> None:
    """A write to port B2H interrupts all of them, and for an IPI the SMI handler calls the others in."""
    assert plain_vmm_on_two.status == ExitCode.OK, plain_vmm_on_two.output + plain_vmm_on_two.errors
    document.validate(plain_vmm_on_two.document)
    for row in plain_vmm_on_two.document["rows"]:
        (other,) = row["others"]
        assert (other["cpu"], other["served_by"]) == (1, row["served_by"])
        assert 1 <= other["smis"] <= row["counted"]
        # The OUT is on the first processor: to the others the SMI is not one of I/O.
        assert other["smm_exits"]["io_smi"] == 0
        assert other["smm_exits"]["other_smi"] == (other["smis"] if row["stm"] else 0)
    assert re.search(r"stm +1 +\([1-5]\) +0 +[1-5]", plain_vmm_on_two.output), plain_vmm_on_two.output


def test_the_page_shows_this_run(plain_vmm: Carried, checkout: Path) -> None:
    """Row by row, so that the table of the tutorial cannot drift from what a reader gets."""
    page = (checkout / "docs/tutorial/plain-vmm.rst").read_text(encoding="utf-8")
    cells = [line[7:] for line in page.splitlines() if line.startswith(("   * - ", "     - "))]
    shown = [cells[index : index + 8] for index in range(8, len(cells), 8)]
    found = [
        [
            Situation(Configuration(row["configuration"]), row["stm"]).words,
            row["cause"],
            str(row["counted"]),
            *(str(row[who][kind]) for who in ("executive_exits", "smm_exits") for kind in ("io_smi", "other_smi")),
            row["served_by"],
        ]
        for row in plain_vmm.document["rows"]
    ]
    assert shown == found


@pytest.fixture
def resources(session_folder: Path) -> Carried:
    return carry_out(("resources",), session_folder)


def test_resources_page_shows_this_run(resources: Carried, checkout: Path) -> None:
    """Row by row, but for memory, whose addresses are another build's elsewhere."""
    page = (checkout / "docs/tutorial/resources.rst").read_text(encoding="utf-8")
    cells = [line[7:] for line in page.splitlines() if line.startswith(("   * - ", "     - "))]
    shown = [cells[index : index + 6] for index in range(6, len(cells), 6)]
    found = []
    for entry in resources.document["declared"]:
        if entry["type"] != "memory":
            last = entry["base"] + entry["length"] - 1
            seen = [entry["access_seen"] or "none", f"{entry['places_touched']:,}"]
            found.append([entry["type"], f"{entry['base']:#x}", f"{last:#x}", entry["access"], *seen])
    assert shown == found


def test_proposed_list_is_a_part_of_the_declared_one(resources: Carried) -> None:
    """Less than the firmware declares, and all that its handlers touched; what launchers protect is in neither."""
    made = resources.document
    assert made["undeclared"] == [] and made["unused"] != []
    pages = {True: 0, False: 0}
    for proposed, listed in ((True, made["proposed"]), (False, made["declared"])):
        pages[proposed] = sum(entry["length"] for entry in listed if entry["type"] in ("memory", "mmio"))
        assert {entry["base"] for entry in listed if entry["type"] == "msr"} & {0x9B, 0x1A0, 0x176, 0x3A} == set()
    assert 0 < pages[True] < pages[False]
    for entry in made["proposed"]:
        inside = [
            other
            for other in made["declared"]
            if other["type"] == entry["type"]
            and other["base"] <= entry["base"]
            and entry["base"] + entry["length"] <= other["base"] + other["length"]
            and set(entry["access"]) <= set(other["access"])
        ]
        assert inside, entry


def test_handlers_were_seen_to_touch_smram_too(resources: Carried) -> None:
    """Code, data and stack of theirs: the machine's trace is not empty for want of events."""
    (stream,) = resources.streams
    accesses = [event for event in stream.machine if isinstance(event, MachineEvent) and "space" in event.fields]
    smram = {
        event.fields["access"]
        for event in accesses
        if event.fields["space"] == "memory" and 0x1F00_0000 <= int(event.fields["address"], 0) < 0x2000_0000
    }
    assert smram == {"r", "w", "x"}


@pytest.fixture
def standby(session_folder: Path) -> Carried:
    return carry_out(("standby",), session_folder)


def test_standby_page_shows_this_run(standby: Carried, checkout: Path) -> None:
    """Row by row, and the same words as on the screen."""
    page = (checkout / "docs/tutorial/standby.rst").read_text(encoding="utf-8")
    # The other table is that of Linux.
    _before, shell, _linux = page.split(".. list-table::")
    cells = [line[7:].replace("\\-", "-") for line in shell.splitlines() if line.startswith(("   * - ", "     - "))]
    words = {True: "yes", False: "no"}
    found = []
    for row in standby.document["rows"]:
        alive = row["os_alive"]
        found += [row["variant"], words[alive]]
        found += [words[row["monitor"]["after"] == "present"] if alive else "-"]
        found += [words[row["served_by"]["after"] == "stm"] if alive else "-"]
        found += [row["served_by"]["after"] or "-", row["first_break"]]
    assert cells[6:] == found


def test_sleeping_machine_was_reset(standby: Carried) -> None:
    """What the table rests on, in the machine's words: the wake is no VM exit, and VMXOFF comes only where told."""
    for row, stream in zip(standby.document["rows"], standby.streams, strict=True):
        asleep = stream.of("APP", "sleep-begin")[0].t
        before = [step for step in stream.transitions if step.t <= asleep]
        after = [step for step in stream.transitions if step.t > asleep]
        under = row["variant"] != "no VMM"
        assert any(step.kind is Kind.ENTRY for step in before) == under
        vmxoffs = sum(step.kind is Kind.VMXOFF for step in after)
        # The power-off at the end takes the same way out where the monitor is there again.
        assert vmxoffs == {"leaves": 1, "returns": NIGHTS + 1}.get(row["variant"], 0), row["variant"]
        vmxons = sum(step.kind is Kind.VMXON for step in after)
        assert vmxons == (NIGHTS if row["variant"] == "returns" else 0), row["variant"]
        # The firmware's own first SMIs of the wake come from a processor outside VMX operation in each of them.
        assert any(step.kind is Kind.SMI and step.source is Mode.NONE for step in after)


def test_the_trace_goes_on_across_a_sleep(standby: Carried) -> None:
    """The counter does, and so every record is where the transitions around it are: each wake after its sleep."""
    hold_against(standby.trace, standby.streams)
    for row, stream in zip(standby.document["rows"], standby.streams, strict=True):
        times = [step.t for step in stream.transitions]
        assert times == sorted(times), row["variant"]
    stream = standby.streams[-1]  # the variant that comes back
    asleep, awake = (stream.of("APP", name) for name in ("sleep-begin", "sleep-end"))
    assert len(asleep) == len(awake) == NIGHTS
    points = [t for _track, t, event in Read(standby.trace).points if event.name == "STM start"]
    for dusk, dawn in zip(asleep, awake, strict=True):
        # In between the monitor leaves and is back: the firmware's SMIs and VMXON, and the STM's start.
        kinds = [step.kind for step in stream.transitions if dusk.t < step.t < dawn.t]
        assert kinds.index(Kind.VMXOFF) < kinds.index(Kind.VMXON)
        assert any(dusk.t < t < dawn.t for t in points)


@pytest.mark.long
def test_standby_on_two_processors(tmp_path: Path) -> None:
    """Each variant; the one that comes back does so with both."""
    facts = tmp_path / "standby.json"
    result = run_command(["run", "standby", "--processors", "2", "--json", str(facts)])
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    returns = json.loads(facts.read_text())["rows"][-1]
    assert returns["variant"] == "returns" and returns["first_break"] == "nothing"
    assert returns["served_by"] == {"before": "stm", "after": "stm"}


def test_the_text_says_why(plain_vmm: Carried) -> None:
    text = " ".join(plain_vmm.output.split())
    assert "no VM-execution control makes an SMI exit to it" in text
    assert "executive monitor: VM exits so far: I/O SMI 0, other SMI 0, " in text


def test_own_script_on_each_machine(tmp_path: Path) -> None:
    """The user's commands replace the experiment's; what fails is named with its line."""
    script, facts = tmp_path / "own.nsh", tmp_path / "facts.json"
    script.write_text("ExecMon.efi start -no-stm\nExecMon.efi exits\nExecMon.efi stop\nExecMon.efi exits\nreset -s\n")
    result = run_command(["run", "plain-vmm", "--script", str(script), "--json", str(facts)])
    assert result.returncode == ExitCode.EXPECTATION_FAILED, result.stdout + result.stderr
    made = json.loads(facts.read_text())
    document.validate(made)
    assert [boot["configuration"] for boot in made["boots"]] == ["no-dual-monitor", "dual-monitor"]
    (expectation,) = made["expectations"]
    assert not expectation["passed"] and len(expectation["seen"]) == 2
    assert result.stderr.count("line 4, 'ExecMon.efi exits': the Shell's status is 0x13 (not started)") == 2


def test_plain_vmm_on_two_processors(plain_vmm_on_two: Carried) -> None:
    """Without counted instructions, the STM on both: the processor that raises SMIs sees them go where they went."""
    made = plain_vmm_on_two.document
    assert made["processors"] == 2 and all(expectation["passed"] for expectation in made["expectations"])
    assert len(plain_vmm_on_two.streams) == len(made["boots"])
    for stream in plain_vmm_on_two.streams:
        assert {event.cpu for event in stream.transitions if event.kind is Kind.EXIT} == {0, 1}
