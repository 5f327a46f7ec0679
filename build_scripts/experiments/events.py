# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``events``: what the STM tells the executive monitor, and what a domain type hides from a handler."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from build_scripts.experiments.experiment import Expectation, Request
from build_scripts.experiments.shell_experiment import (
    Booted,
    Course,
    ShellExperiment,
    ShellSeen,
    script_expectations,
    tell_boots,
)
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.event_log import StmEvent
from build_scripts.observation.report import group_smis
from build_scripts.tables import compact_table

# Of the save state that QEMU writes: the interrupted side's RIP.
_RIP = "ff78"
_NO_CALL = 0x77
_UNPROTECT = "4c000005"
SCRIPT = (
    "ExecMon.efi start",
    "ExecMon.efi log new 2",
    "ExecMon.efi log configure all",
    "ExecMon.efi log start",
    "SmiTool.efi demo",
    "ExecMon.efi log",
    # The firmware's handler of protection exceptions: without one, the first would end the platform.
    "Attack.efi setup smm.catch",
    f"Attack.efi page protect:page:1000 smm.read:8:page vmcall:{_UNPROTECT}:page:0:0",
    f"Attack.efi mseg smm.read:8:mseg protect:mseg:1000 vmcall:{_UNPROTECT}:mseg:0:0",
    "Attack.efi msr smm.wrmsr:9b:0",
    "Attack.efi port smm.out:1:403:21",
    f"Attack.efi call smm.vmcall:{_NO_CALL:x}:0:0:0",
    f"Attack.efi shown smm.saved:8:{_RIP}",
    "ExecMon.efi domain add integrity,confidentiality scrub",
    f"Attack.efi hidden smm.saved:8:{_RIP}",
    "ExecMon.efi domain remove",
    "ExecMon.efi log stop",
    "ExecMon.efi log",
    "ExecMon.efi log clear",
    "ExecMon.efi log delete",
    "ExecMon.efi stop",
    "reset -s",
)
# Names of the events, and the type of what each is about, in order.
QUIET = ["log-started"]
CAUSED = [
    "protection-granted memory",
    "handled-protection-exception memory",
    "unprotect memory",
    "unclaimed-resource memory",
    "protection-denied memory",
    "unprotect-error memory",
    "unclaimed-resource msr",
    "unclaimed-resource io",
    f"invalid-parameter {_NO_CALL:#x}",
    "log-stopped",
]

_HOW = """\
Events are what somebody asked for or was refused. What the STM traps to do its own work, such as an MSR that it gives \
back after the handler, is none: the SMIs of the demonstration left no entry."""


class Events(ShellExperiment):
    """Have the STM keep an event log, cause each event, and give the guest a domain type."""

    name = "events"
    title = "what the STM's event log tells, and what a domain type hides"
    page = "tutorial/events"

    def courses(self, request: Request) -> tuple[Course, ...]:
        """One boot with the handler that does as it is told."""
        return (Course(Configuration.DUAL_MONITOR, SCRIPT, fw_cfg=("opt/org.stmlab/test-handler=1",)),)

    def story(self, seen: ShellSeen, out: Console) -> None:
        """The commands and calls in order, then the log."""
        tell_boots(seen, lambda booted: "the executive monitor reads the STM's event log:", out)
        for booted in seen.boots:
            events = booted.report().events
            if events:
                out.print(_table(events))
        show.tell(out, _HOW)

    def expectations(self, seen: ShellSeen) -> list[Expectation]:
        """No event of the STM's own traps, each event where it was caused, and nothing shown of a domain."""
        found = script_expectations(seen)
        if seen.request.script is not None:
            return found
        (booted,) = seen.boots
        processors = self.processors_of(seen.request)
        quiet, caused = _events(booted)
        smis = [smi for smi in group_smis(booted.stream.transitions) if smi.dual_monitor]
        domains = [f"processor {domain.cpu}: {domain.words}" for domain in booted.report().domains]
        wanted = [f"processor {number}: integrity,confidentiality, XState scrub" for number in range(processors)]
        shown, hidden = _saved(booted, "shown"), _saved(booted, "hidden")
        return [
            *found,
            Expectation.at_least("SMIs under the STM", 1, len(smis) or None),
            Expectation.equal("events of the firmware's own SMIs", QUIET, quiet or None),
            Expectation.equal("events of what was asked for and refused", CAUSED, caused or None),
            Expectation.equal("domains in the STM's database", wanted, domains or None),
            Expectation.at_least("RIP of the guest, in the save state", 1, shown),
            Expectation.equal("RIP of the guest that is a confidential domain", 0, hidden),
        ]

    def facts(self, seen: ShellSeen) -> dict[str, Any]:
        """Those of the one boot."""
        (booted,) = seen.boots
        return booted.report().as_json()


def _events(booted: Booted) -> tuple[list[str], list[str]]:
    """What was in the log at its first reading, and what came after."""
    readings = booted.stream.of("EXEC", "event-log")
    first = readings[0].t if readings else 0
    events = booted.report().events
    quiet = [event.name for event in events if event.record.t <= first]
    return quiet, [_about(event) for event in events if event.record.t > first]


def _about(event: StmEvent) -> str:
    made = event.as_json()
    if made["resource"] is not None:
        return f"{event.name} {made['resource']['type']}"
    return event.name if made["api"] is None else f"{event.name} {made['api']:#x}"


def _saved(booted: Booted, name: str) -> int | None:
    """What a step read from the save state; None if it did not."""
    begun = [record.t for record in booted.stream.of("APP", "attack-begin") if record.text("name") == name]
    steps = [record for record in booted.stream.of("APP", "attack-step") if begun and record.t >= begun[0]]
    return steps[0].number("value") if steps and steps[0].text("result") == "done" else None


def _table(events: tuple[StmEvent, ...]) -> Table:
    table = compact_table("The STM's event log", words=("Event",), numbers=("Serial",))
    for event in events:
        table.add_row(event.words, str(event.serial))
    return table
