# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Attribution of SMIs, instruction counts, how a boot ended, and what the screen shows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from build_scripts.errors import ExitCode
from build_scripts.machine.machine import Ending
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome, report, show
from build_scripts.observation.events import read_stream
from build_scripts.observation.report import Report

from .streams import Logs, good_run

GOOD_END = Ending("guest-shutdown", 0, 10.0)


def facts(logs: Logs, configuration: Configuration = Configuration.DUAL_MONITOR) -> Report:
    return report.build_report(read_stream(logs.write()), configuration)


def test_good_run(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    run = facts(logs)
    assert [smi.transitions for _cause, smi in run.smis] == ([4] * 5 + [0] * 5) * 2
    assert [cause for cause, _smi in run.smis[:5]] == ["port-b2"] * 2 + ["variable"] * 3
    assert run.activations == 2 and run.smi_count == 321
    assert (run.written, run.read_back) == (4, 4)
    assert outcome.check_ending(read_stream(tmp_path), GOOD_END) is None


def test_instructions(tmp_path: Path) -> None:
    first = facts(good_run(tmp_path)).smis[0][1].instructions
    assert first == report.Instructions(stm=70, handler=5000, total=5070)


def test_instructions_under_default_treatment(tmp_path: Path) -> None:
    smi = facts(good_run(tmp_path)).smis[5][1]
    assert smi.instructions == report.Instructions(stm=0, handler=4000, total=4000)


def test_no_instruction_counts_without_icount(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.write()
    path = tmp_path / "machine.log"
    text = path.read_text()
    path.write_text("".join(f"{_without_icount(line)}\n" for line in text.splitlines()))
    run = report.build_report(read_stream(tmp_path), Configuration.DUAL_MONITOR)
    assert all(smi.instructions is None for _cause, smi in run.smis)
    assert all(smi["instructions"] is None for smi in run.as_json()["smis"])


def _without_icount(line: str) -> str:
    return " ".join("icount=-1" if word.startswith("icount=") else word for word in line.split(" "))


def test_extra_exits_are_listed(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.app("smi-begin", "cause=port-b2")
    logs.plain_smi(extra_reasons=(10, 48))
    logs.app("smi-end")
    smi = facts(logs).smis[0][1]
    assert smi.transitions == 8 and not smi.plain
    assert smi.extra_exits == (report.ExtraExit(10, 0x7000), report.ExtraExit(48, 0x7000))
    assert smi.instructions == report.Instructions(stm=30 + 20 + 20 + 40, handler=700 + 700 + 5000, total=6510)


def test_smi_that_did_not_end_is_listed(tmp_path: Path) -> None:
    """The run ended in the handler, or another SMI began first: both are there, and neither is complete."""
    logs = Logs(tmp_path)
    for _ in range(2):
        logs.transition("smm-exit", "guest", "stm", 5)
        logs.transition("handler-entry", "stm", "handler")
    smis = report.group_smis(read_stream(logs.write()).transitions)
    assert [(smi.complete, len(smi.events)) for smi in smis] == [(False, 2), (False, 2)]


def test_vmcall_is_no_smi(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    logs.app("smi-begin", "cause=port-b2")
    logs.activation()
    logs.app("smi-end")
    run = facts(logs)
    assert run.smis == () and run.activations == 1


def test_crash_comes_before_everything(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.stm("crash", "class=exception cpu=0 reason=0x0 rip=0x1fe01234")
    error = outcome.check_ending(read_stream(logs.write()), Ending("guest-reset", 0, 3.0))
    assert error is not None and error.code == ExitCode.GUEST_CRASHED
    assert "class=exception" in str(error)


def test_error_names_the_last_failed_check(tmp_path: Path) -> None:
    """Of a run that ended badly; the others are in the story."""
    logs = good_run(tmp_path)
    line = (
        "vmx_refusal cpu=0 t=1 insn={} result=VMfailValid-{} rule=VMX-INS-{} field=LAUNCH_STATE encoding=- value=0x1 "
        "demand=clear section=VMX Instructions (30.3)"
    )
    logs.lines["machine.log"] += [line.format("VMRESUME", 5, 40), line.format("VMLAUNCH", 4, 39)]
    logs.write()
    assert outcome.check_ending(read_stream(tmp_path), GOOD_END) is None
    error = outcome.check_ending(read_stream(tmp_path), Ending("timeout", None, 90.0))
    assert error is not None and "VMX-INS-40" not in str(error)
    assert (
        "the last check of VMX that failed: processor 0: VMLAUNCH failed (VMfailValid-4) by VMX-INS-39: LAUNCH_STATE "
        "is 0x1; demanded: clear; SDM volume 3, VMX Instructions (30.3)"
    ) in str(error)


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending("timeout", None, 300.0), "hung after 'ExecMon.efi start'; stopped after 300 s"),
        (Ending("guest-reset", 0, 3.0), "ended unexpectedly"),
        (Ending("exited", -11, 3.0), "ended unexpectedly"),
        (Ending("guest-shutdown", 1, 3.0), "status 1"),
    ],
)
def test_endings_that_nobody_asked_for(tmp_path: Path, ending: Ending, words: str) -> None:
    error = outcome.check_ending(read_stream(good_run(tmp_path).write()), ending)
    assert error is not None and error.code == ExitCode.GUEST_HUNG and words in str(error)


def test_script_without_a_power_off(tmp_path: Path) -> None:
    """A guest that waits at the prompt did not hang in its last command."""
    logs = good_run(tmp_path)
    logs.app("script-end", "status=0x0")
    error = outcome.check_ending(read_stream(logs.write()), Ending("timeout", None, 90.0))
    assert error is not None and error.code == ExitCode.GUEST_HUNG
    assert "waited at the Shell's prompt" in str(error) and "reset -s" in error.remedy


def test_shown_in_order(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    run = facts(logs)
    out = io.StringIO()
    show.show(run, read_stream(tmp_path), Console(file=out, width=120))
    text = out.getvalue()
    assert "state=enabled reason=none" in text
    assert "SMI 0 (port-b2): SMM VM exit (I/O SMI) > entry to handler > RSM exit > return to guest" in text
    assert "SMI 5 (port-b2): default treatment" in text
    assert text.index("state=enabled") < text.index("STM: started") < text.index("SMI 0") < text.index("STM: stopped")
    assert "SMIs that SmiTool raised" in text and "5,070" in text


def shown(logs: Logs, configuration: Configuration = Configuration.DUAL_MONITOR, width: int = 80) -> str:
    out = io.StringIO()
    show.show(facts(logs, configuration), read_stream(logs.folder), Console(file=out, width=width))
    return out.getvalue()


def test_eighty_columns(tmp_path: Path) -> None:
    """Nothing is wider than 80 columns, and no word of the same text at 200 columns is cut."""
    logs = good_run(tmp_path)
    logs.app("smi-begin", "cause=port-b2")
    logs.plain_smi(extra_reasons=(48, 10))
    logs.app("smi-end")
    logs.stm("crash", "class=unexpected-exit cpu=0 reason=0x2e qual=0x0 rip=0x1fe03456 error=0x0 cr2=0x0")
    narrow, wide = shown(logs), shown(logs, width=200)
    assert max(len(line) for line in narrow.splitlines()) <= 80
    assert narrow.split() == wide.split()
    heading = next(line for line in narrow.splitlines() if "transitions" in line)
    assert heading.split() == ["treatment", "cause", "SMIs", "transitions", "exits", "instr.", "instr.", "instr."]
    assert "dual-monitor port-b2 5 4, 8 2 70 5,000 5,070".split() == next(
        line.split() for line in narrow.splitlines() if line.split()[:2] == ["dual-monitor", "port-b2"]
    )


def test_failed_checks_are_told(tmp_path: Path) -> None:
    """Where they were, with the check that failed; not more than a reader looks at."""
    logs = good_run(tmp_path)
    line = (
        "vmx_refusal cpu=0 t={} insn=VMRESUME result=exit-reason-33 rule=VMX-GST-40 field=GUEST_RFLAGS "
        "encoding=0x6820 value=0x0 demand=bit 1 is 1 section=Checks (26.3.1.4)"
    )
    logs.lines["machine.log"] += [line.format(logs.t + number) for number in range(13)]
    text = " ".join(shown(logs).split())
    told = (
        "processor 0: VMRESUME failed (exit-reason-33) by VMX-GST-40: GUEST_RFLAGS is 0x0; demanded: bit 1 is 1; "
        "SDM volume 3, Checks (26.3.1.4)"
    )
    assert text.count(told) == 10
    assert "3 more checks failed; machine.log has them" in text


def test_a_word_wider_than_the_screen_is_not_cut(tmp_path: Path) -> None:
    """L10."""
    logs = Logs(tmp_path)
    logs.app("script", f"line=1 cmd={'x' * 100}%20y")
    assert "x" * 100 in shown(logs).split()


def test_session_without_marked_smis(tmp_path: Path) -> None:
    """A session of the STM in which SmiTool raised nothing is called that, with what was traced."""
    logs = Logs(tmp_path)
    logs.status("enabled", "none")
    logs.activation()
    logs.plain_smi()
    logs.plain_smi()
    logs.default_smi()
    text = " ".join(shown(logs).split())
    assert "no VMX" not in text and "No SMI" not in text
    assert "traced 3 SMIs from reset to the end: 2 under the dual-monitor treatment, 1 under the default" in text
    assert "None of them was raised by SmiTool" in text and "activations of the STM: 1" in text


def test_other_smis_are_explained(tmp_path: Path) -> None:
    """Those of the STM's count that the table does not show."""
    text = " ".join(shown(good_run(tmp_path)).split())
    assert "traced 22 SMIs from reset to the end: 10 under the dual-monitor treatment, 12 under the default" in text
    assert "SmiTool raised 20; the other 2 are the firmware's and the Shell's" in text


def test_run_that_left_nothing(tmp_path: Path) -> None:
    """Zeroed firmware or a full disk: no status, no SMI, and nothing said about VMX."""
    text = shown(Logs(tmp_path / "empty"))
    assert "The firmware reported no status: it did not get that far." in text
    assert "The machine traced no SMI." in text and "VMX" not in text
    assert "SMI count (MSR 34H) as SmiTool read it: not read" in text


@pytest.mark.parametrize("reason", ["no-vmx", None])
def test_stock_machine_is_not_traced(tmp_path: Path, reason: str | None) -> None:
    """That the distribution's QEMU has no treatment is the firmware's finding, if it got that far."""
    logs = Logs(tmp_path)
    if reason is not None:
        logs.status("unavailable", reason)
    text = " ".join(shown(logs, Configuration.STOCK).split())
    assert "No SMI is listed: the machine's trace exists only in the lab's QEMU" in text
    assert ("found no dual-monitor treatment (no-vmx)" in text) == (reason is not None)
