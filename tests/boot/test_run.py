# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``run`` on the three processors, with one firmware image."""

from __future__ import annotations

import re
from pathlib import Path

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments import document, first_light
from build_scripts.machine.processors import Configuration
from build_scripts.observation import report
from build_scripts.observation.events import Kind, MachineEvent, Mode, Stream, read_stream
from build_scripts.observation.show import live_line, story
from build_scripts.stm_image import inspect_image, layout
from tests.support.carried import carry_out
from tests.support.perfetto_trace import hold_against
from tests.support.screens import complaints

from .conftest import Run

# DEMO_PORT_SMIS and DEMO_VARIABLES of StmPkg/Applications/SmiTool.
PORT_SMIS = 3
VARIABLES = 2


def test_run_succeeds(any_run: Run) -> None:
    assert any_run.status == 0, any_run.output + any_run.errors
    assert any_run.document["exit_status"] == 0
    assert any_run.stream.errors == ()
    assert complaints(any_run.output) == [], "it does not fit 80 columns, or a terminal that can do nothing"


def test_every_expectation_is_met(any_run: Run) -> None:
    """And listed on the screen; that nothing seen meets none is a unit test."""
    expectations = any_run.document["expectations"]
    assert any_run.document["experiment"] == "first-light" and any_run.document["processors"] == 1
    assert [expectation for expectation in expectations if not expectation["passed"]] == []
    assert [expectation for expectation in expectations if expectation["seen"] is None] == []
    assert f"Expectations: {len(expectations)} of {len(expectations)} met" in any_run.output


def test_json_fits_its_schema(any_run: Run) -> None:
    document.validate(any_run.document)
    assert any_run.document["configuration"] == any_run.configuration.value


def test_firmware_says_what_it_found(any_run: Run) -> None:
    firmware = any_run.document["firmware"]
    assert (firmware["state"], firmware["reason"]) == first_light.EXPECTED_STATUS[any_run.configuration]
    assert f"state={firmware['state']} reason={firmware['reason']}" in any_run.output
    assert firmware["mseg_base"] % 0x200000 == 0 and firmware["mseg_size"] > 0


def test_firmware_says_for_how_many_processors_there_is_room(stm_run: Run, firmware: Firmware) -> None:
    status = stm_run.stream.of("FW", "status")[0]
    software = inspect_image(firmware.mseg.read_bytes()).software
    room, fit = status.number("mseg_size"), status.number("processors_fit")
    assert status.text("measured") == "no-tpm"
    assert status.number("processors") == 1 and stm_run.document["firmware"]["processors_fit"] == fit
    assert layout.needed_size(software, fit) <= room < layout.needed_size(software, fit + 1)


def test_one_image_for_all(stock_run: Run, plain_vmx_run: Run, stm_run: Run) -> None:
    runs = (stock_run, plain_vmx_run, stm_run)
    hashes = {run.document["firmware"]["image_sha256"] for run in runs}
    assert len(hashes) == 1 and None not in hashes
    images = {line for run in runs for line in run.command if "OVMF_CODE" in line}
    assert len(images) == 1, "one firmware image for the three processors"


def test_smis_are_served(any_run: Run) -> None:
    assert any_run.document["smi_count"] > 0
    variables = any_run.document["variables"]
    assert variables["written"] == variables["read_back"] > 0


def test_every_command_of_the_script_ended_well(any_run: Run) -> None:
    statuses = [record.fields.get("status") for record in any_run.stream.of("APP", "script-status")]
    assert len(statuses) == len(first_light.SCRIPT) - 1, "all but the power-off report their end"
    assert {int(status or "-1", 0) for status in statuses} == {0}


def test_stock_has_no_traced_smi(stock_run: Run) -> None:
    assert stock_run.document["smis"] == [] and stock_run.document["activations"] == 0


def test_without_the_treatment_msr_9bh_is_not_touched(plain_vmx_run: Run) -> None:
    touched = [
        event
        for event in plain_vmx_run.stream.machine
        if isinstance(event, MachineEvent) and event.name == "vmx_msr_smm_monitor_ctl"
    ]
    assert touched == []
    assert {smi["treatment"] for smi in plain_vmx_run.document["smis"]} == {"default"}


def test_with_the_treatment_msr_9bh_is_set(stm_run: Run) -> None:
    written = [
        int(event.fields["value"], 0)
        for event in stm_run.stream.machine
        if isinstance(event, MachineEvent)
        and event.name == "vmx_msr_smm_monitor_ctl"
        and event.fields["access"] == "write"
    ]
    assert written == [stm_run.document["firmware"]["mseg_base"] | 1], "MSEG base and valid bit"


def test_every_plain_smi_takes_four_transitions(stm_run: Run) -> None:
    smis = [smi for smi in stm_run.document["smis"] if smi["treatment"] == "dual-monitor"]
    causes = [smi["cause"] for smi in smis]
    assert set(causes) == {"port-b2", "variable"}
    assert causes.count("port-b2") == PORT_SMIS * first_light.STARTS
    # Each variable is written, read and deleted, an SMI or more each time.
    assert causes.count("variable") >= 3 * VARIABLES * first_light.STARTS
    assert [smi for smi in smis if smi["transitions"] != 4 or smi["extra_exits"]] == []


def test_transitions_come_in_their_order(stm_run: Run) -> None:
    groups = report.group_smis(stm_run.stream.transitions)
    dual = [smi for smi in groups if smi.dual_monitor]
    assert dual and all(smi.plain for smi in dual)
    for smi in dual:
        exit_, entry, rsm, back = smi.events
        assert (exit_.target, entry.target, rsm.target) == (Mode.STM, Mode.HANDLER, Mode.STM)
        assert exit_.source == back.target, "the SMI returns to where it came from"


def test_default_treatment_has_no_transition(stm_run: Run) -> None:
    default = [smi for smi in stm_run.document["smis"] if smi["treatment"] == "default"]
    assert {smi["cause"] for smi in default} == {"port-b2", "variable"}
    assert {smi["transitions"] for smi in default} == {0}


def test_launched_twice_with_the_same_static_mseg(stm_run: Run) -> None:
    assert stm_run.document["activations"] == first_light.STARTS
    found = [record.text("mseg_sha256") for record in stm_run.stream.of("STM", "init")]
    assert found == [stm_run.document["firmware"]["mseg_sha256"]] * first_light.STARTS
    kinds = [event.kind for event in stm_run.stream.transitions]
    assert kinds.count(Kind.VMXON) == kinds.count(Kind.VMXOFF) == first_light.STARTS


def test_instructions_add_up(any_run: Run) -> None:
    smis = any_run.document["smis"]
    assert bool(smis) == any_run.configuration.extended, "the distribution's QEMU traces none"
    for smi in smis:
        counts = smi["instructions"]
        assert counts["stm"] + counts["handler"] == counts["total"] > 0
        assert (counts["stm"] == 0) == (smi["treatment"] == "default")


def test_the_shell_goes_on_as_guest(stm_run: Run) -> None:
    assert len(stm_run.stream.of("EXEC", "launch")) == first_light.STARTS
    dual = [smi for smi in report.group_smis(stm_run.stream.transitions) if smi.dual_monitor]
    assert Mode.GUEST in {smi.events[0].source for smi in dual}


def test_without_vmx_the_executive_says_why(stock_run: Run) -> None:
    reasons = {record.text("reason") for record in stock_run.stream.of("EXEC", "unavailable")}
    assert reasons == {"no-vmx"}
    assert stock_run.stream.of("EXEC", "launch") == []


def test_without_the_treatment_the_executive_goes_on_alone(plain_vmx_run: Run) -> None:
    reasons = {record.text("reason") for record in plain_vmx_run.stream.of("EXEC", "no-stm")}
    assert reasons == {"no-dual-monitor"}
    assert len(plain_vmx_run.stream.of("EXEC", "launch")) == first_light.STARTS
    assert plain_vmx_run.document["activations"] == 0


def test_the_trace_is_the_runs(session_folder: Path) -> None:
    """What ``--trace`` writes, read with Perfetto's own classes."""
    carried = carry_out((), session_folder)
    assert "stmlab: trace: " in carried.errors
    hold_against(carried.trace, carried.streams)


def test_each_smi_has_its_line_as_it_ends(stm_run: Run) -> None:
    """With ``-v``, in their order, and within 80 columns."""
    lines = [line for line in stm_run.errors.splitlines() if line.startswith("stmlab: SMI CPU ")]
    smis = [smi for smi in report.group_smis(stm_run.stream.transitions) if smi.complete]
    assert smis and lines == [f"stmlab: {live_line(smi)}" for smi in smis]
    assert max(map(len, lines)) <= 80


def test_the_stored_run_is_one_as_it_is_today(stm_run: Run, checkout: Path) -> None:
    """The screens of the documentation tell the demonstration's story, line by line, but for numbers and hashes."""

    def told(stream: Stream) -> list[str]:
        made = report.build_report(stream, Configuration.DUAL_MONITOR)
        return [re.sub(r"0x[0-9a-f]+|[0-9a-f]{64}|\d+", "N", line) for line in story(made, stream)]

    assert told(read_stream(checkout / "docs/runs/first-light")) == told(stm_run.stream)
