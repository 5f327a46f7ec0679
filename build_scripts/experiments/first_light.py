# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``first-light``: the demonstration, on each of the three processors."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from build_scripts.experiments.experiment import DEFAULT_EXPERIMENT, Expectation, Request
from build_scripts.experiments.shell_experiment import Booted, Course, ShellExperiment, ShellSeen, script_expectations
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.report import Report

SCRIPT = (
    "StmStatus.efi",
    "ExecMon.efi start",
    "SmiTool.efi demo",
    "ExecMon.efi stop",
    "SmiTool.efi demo",
    "ExecMon.efi start",
    "SmiTool.efi demo",
    "ExecMon.efi stop",
    "SmiTool.efi count",
    "reset -s",
)
# How often the script starts the executive monitor.
STARTS = 2

EXPECTED_STATUS = {
    Configuration.STOCK: ("unavailable", "no-vmx"),
    Configuration.NO_DUAL_MONITOR: ("unavailable", "no-dual-monitor"),
    Configuration.DUAL_MONITOR: ("enabled", "none"),
}


class FirstLight(ShellExperiment):
    """Start the executive monitor and the STM, raise SMIs, stop again; twice in one boot."""

    name = DEFAULT_EXPERIMENT
    title = "start the executive monitor and the STM, raise SMIs, stop again"
    page = "tutorial/first-light"
    takes = ShellExperiment.takes | {"configuration"}

    def courses(self, request: Request) -> tuple[Course, ...]:
        """One boot, on the processor that the user names."""
        return (Course(request.configuration or Configuration.DUAL_MONITOR, SCRIPT),)

    def story(self, seen: ShellSeen, out: Console) -> None:
        """Each command, call and SMI in order, and the closing table."""
        (booted,) = seen.boots
        show.show(booted.report(), booted.stream, out)

    def expectations(self, seen: ShellSeen) -> list[Expectation]:
        """All of the demonstration; of the user's own script only that its commands succeed."""
        (booted,) = seen.boots
        found = script_expectations(seen)
        if seen.request.script is None:
            found += demonstration(booted, self.processors_of(seen.request))
        return found

    def facts(self, seen: ShellSeen) -> dict[str, Any]:
        """Those of the one boot."""
        (booted,) = seen.boots
        return booted.report().as_json()


def demonstration(booted: Booted, processors: int = 1) -> list[Expectation]:
    """What the demonstration must show on its kind of processor, each of which starts and stops."""
    report = booted.report()
    status = report.status
    got = None if status is None else f"{status.text('state')}, {status.text('reason')}"
    found = [
        Expectation.equal("the firmware's status", ", ".join(EXPECTED_STATUS[report.configuration]), got),
        Expectation.at_least("SMIs counted (MSR 34H)", 1, report.smi_count),
        Expectation.equal("UEFI variables that read back as written", max(report.written, 1), report.read_back),
    ]
    if report.configuration is Configuration.STOCK:
        reasons = {record.text("reason") for record in booted.stream.of("EXEC", "unavailable")}
        return [*found, Expectation.equal("why the executive monitor does not start", ["no-vmx"], sorted(reasons))]
    launches = len(booted.stream.of("EXEC", "launch"))
    wanted = STARTS * processors
    found.append(Expectation.equal("launches of a processor as the executive monitor's guest", wanted, launches))
    found += _treatments(report)
    return found + _stm(booted, report, processors) if report.configuration is Configuration.DUAL_MONITOR else found


def _treatments(report: Report) -> list[Expectation]:
    """Under which treatments SMIs were served, and whether each came to its end."""
    treatments = {"dual-monitor" if smi.dual_monitor else "default" for _cause, smi in report.smis}
    both = report.configuration is Configuration.DUAL_MONITOR
    wanted = ["default", "dual-monitor"] if both else ["default"]
    unfinished = [f"SMI {index} ({cause})" for index, (cause, smi) in enumerate(report.smis) if not smi.complete]
    return [
        Expectation.equal("treatments under which SMIs were served", wanted, sorted(treatments)),
        Expectation.nothing_wrong("every SMI ends", unfinished, len(report.smis)),
    ]


def _stm(booted: Booted, report: Report, processors: int) -> list[Expectation]:
    """What the treatment adds: activations of one unchanged image, and the transitions of each SMI."""
    dual = [(index, cause, smi) for index, (cause, smi) in enumerate(report.smis) if smi.dual_monitor and smi.complete]
    odd = [
        f"SMI {index} ({cause}) took {smi.transitions}"
        for index, cause, smi in dual
        if not smi.plain and not smi.extra_exits
    ]
    loaded = report.status.fields.get("mseg_sha256") if report.status is not None else None
    inits = booted.stream.of("STM", "init")
    changed = [
        f"activation at t={record.t} found another MSEG: {record.fields.get('mseg_sha256')}"
        for record in inits
        if record.fields.get("mseg_sha256") != loaded
    ]
    return [
        Expectation.equal("activations of the STM", STARTS * processors, report.activations),
        Expectation.nothing_wrong("each activation finds MSEG as the loader left it", changed, len(inits)),
        Expectation.nothing_wrong("a plain SMI takes four transitions", odd, len(dual)),
    ]
