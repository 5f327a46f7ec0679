# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``linux-mle``: Linux itself as the executive monitor, by a module that launches the STM late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.experiment import Expectation, Experiment, Request, tell_command
from build_scripts.linux import headers, kernel
from build_scripts.linux.boot import PROCESSORS, TIMEOUT_SECONDS, Finding, LinuxRun, boot_linux
from build_scripts.machine.processors import DUAL_MONITOR_CPU, Configuration
from build_scripts.observation import outcome, show
from build_scripts.observation.events import Stream, read_stream
from build_scripts.observation.report import group_smis
from build_scripts.progress import step
from build_scripts.tables import compact_table

TRACE = ("vmx_*",)
# With which the module gives up; build_scripts/linux/init/mle.c asks for it once.
ECANCELED = 125


@dataclass(frozen=True)
class Phase:
    """A stretch of the run: what Linux has done when it begins, and who then serves SMIs.

    Attributes:
        name: as process 1 marks it.
        title: for people.
        served_by: "handler" or "stm".
        kvm: whether KVM is in VMX operation; None where the module is not loaded.
        launches: of the STM on the first processor and on another, since the module was loaded.
    """

    name: str
    title: str
    served_by: str
    kvm: bool | None = None
    launches: tuple[int, int] = (0, 0)


PHASES = (
    Phase("before", "the module is not loaded", "handler"),
    Phase("alone", "loaded, without KVM", "stm", kvm=False, launches=(1, 1)),
    Phase("between", "unloaded", "handler"),
    Phase("given-up", "given up behind INITIALIZE_PROTECTION", "handler"),
    Phase("kvm", "loaded beside KVM", "stm", kvm=True, launches=(1, 1)),
    Phase("plugged", "the others went offline and came back", "stm", kvm=True, launches=(1, 2)),
    Phase("woken", "all have slept (S3)", "stm", kvm=True, launches=(2, 3)),
    Phase("after", "unloaded", "handler"),
)
# Of each session: the module has its log started, then has the log's page protected.
EVENTS = ("log-started", "protection-granted")
GUESTS = {
    "timer": "out1:5a=60 out1:5a=61 out1:58=1 out1:58=2 end",
    "smp": "out4:10=4e20 out4:12=64 out4:14=64 end second: out1:70=77 interrupted",
}


@dataclass(frozen=True)
class MleSeen:
    """What the boot left.

    Attributes:
        request: what the user asked for.
        processors: of the machine.
        run: the boot and its findings.
        stream: its records.
    """

    request: Request
    processors: int
    run: LinuxRun
    stream: Stream

    def findings(self) -> dict[str, list[Finding]]:
        """What process 1 reported in each phase."""
        found: dict[str, list[Finding]] = {}
        for finding in self.run.findings:
            if finding.name == "phase":
                found[finding.fields["name"]] = []
            elif found:
                found[list(found)[-1]].append(finding)
        return found

    def stretches(self) -> dict[str, tuple[int, int]]:
        """From when to when each phase lasted; the last one has no end."""
        marks = [(record.text("way"), record.t) for record in self.stream.of("APP", "mle-phase")]
        asleep = [record.t for record in self.stream.of("APP", "linux-sleep")]
        found = {}
        for (name, begin), (_, end) in zip(marks, [*marks[1:], ("", 1 << 64)], strict=False):
            found[name] = begin, min([end, *(t for t in asleep if t > begin)])
        return found


@dataclass(frozen=True)
class Row:
    """One phase as it was seen; None and 0 are what was not.

    Attributes:
        served_by: "handler", "stm", both joined by "+".
        smis: that were served.
        counted: by each processor, of those raised by port B2H.
        raised: by port B2H.
        started: whether each processor's line of the module's state says so.
        launches: of each processor, as the module counts them.
        own_vmx: whether the module has executed VMXON on each processor, not KVM.
        events: of the STM's event log, as the module shows it, each once.
    """

    phase: Phase
    served_by: str | None
    smis: int
    counted: list[int]
    raised: int
    started: list[bool]
    launches: list[int]
    own_vmx: list[bool]
    events: list[str]

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``linux-mle-row``."""
        return {
            "phase": self.phase.name,
            "served_by": self.served_by,
            "smis": self.smis,
            "raised": self.raised,
            "counted": self.counted,
            "started": self.started,
            "launches": self.launches,
            "events": self.events,
        }


def rows(seen: MleSeen) -> list[Row]:
    """The table: a row for each phase, also of one that never was."""
    return [_row(seen, phase) for phase in PHASES]


def _events(findings: list[Finding]) -> list[str]:
    """The entries of the log that process 1 read, which it may have read twice."""
    found = {finding.fields["serial"]: finding.fields["event"] for finding in findings if finding.name == "mle-event"}
    return list(found.values())


def _row(seen: MleSeen, phase: Phase) -> Row:
    findings = seen.findings().get(phase.name, [])
    begin, end = seen.stretches().get(phase.name, (0, 0))
    smis = [smi for smi in group_smis(seen.stream.transitions) if begin < smi.t < end]
    served = sorted({"stm" if smi.dual_monitor else "handler" for smi in smis})
    counts = [finding.fields for finding in findings if finding.name == "smis"]
    lines = [finding.fields for finding in findings if finding.name == "mle" and "cpu" in finding.fields]
    lines = lines[: seen.processors]
    counted, raised = [], 0
    if len(counts) >= 2:
        first, second = counts[0], counts[1]
        counted = [int(second[key]) - int(first[key]) for key in first if key.startswith("count")]
        raised = int(second["raised"]) - int(first["raised"])
    return Row(
        phase,
        "+".join(served) or None,
        len(smis),
        counted,
        raised,
        [line["started"] == "1" for line in lines],
        [int(line["launches"]) for line in lines],
        [line["own_vmx"] == "1" for line in lines],
        _events(findings),
    )


class LinuxMle(Experiment[MleSeen]):
    """Boot Linux, load the module without and with KVM, use SMM in each phase, unload it."""

    name = "linux-mle"
    title = "Linux itself launches the STM, with its own KVM beside it"
    page = "tutorial/linux-mle"
    processors = PROCESSORS
    timeout = TIMEOUT_SECONDS
    takes = frozenset({"kernel", "kernel_args"})
    refuses: ClassVar[Mapping[str, str]] = {
        "script": "the experiment linux-mle boots Linux with a process 1 of the lab's and no shell that could read a "
        "script; first-light runs yours"
    }

    def check(self, request: Request) -> None:
        """Nothing to refuse."""

    def boot(self, request: Request) -> MleSeen:
        """Get the kernel and its headers, build the module, boot."""
        qemu, firmware = extended_qemu(), build_firmware()
        linux = kernel.locate(request.kernel or kernel.DEFAULT)
        module = headers.build_module(linux)
        with step(f"booting Linux {linux.version} as the executive monitor"):
            run = boot_linux(
                qemu,
                firmware,
                linux,
                ("lab.role=mle", *request.kernel_args),
                trace=TRACE,
                timeout=self.timeout_of(request),
                processors=self.processors_of(request),
                cpu=DUAL_MONITOR_CPU,
                modules=(module,),
            )
        if request.verbose:
            tell_command(run.run_dir)
        return MleSeen(request, self.processors_of(request), run, read_stream(run.run_dir))

    def failure(self, seen: MleSeen) -> LabError | None:
        """A crash of the STM, a panic, or an end that process 1 did not ask for."""
        crash = outcome.crash_record(seen.stream)
        if crash is not None:
            return LabError(f"the STM crashed: {crash}", ExitCode.GUEST_CRASHED)
        return seen.run.failure()

    def story(self, seen: MleSeen, out: Console) -> None:
        """The table of phases, and what the guests beside did."""
        table = compact_table("Who serves SMIs", words=("Linux", "Served by"), numbers=("SMIs", "Launches"))
        for row in rows(seen):
            launches = "/".join(map(str, row.launches)) or "none"
            table.add_row(row.phase.title, row.served_by or "nothing seen", str(row.smis), launches)
        out.print(table)
        for finding in seen.run.named("kvm"):
            show.tell(out, f"KVM guest {finding.fields['test']}: {finding.fields['trace']}")

    def expectations(self, seen: MleSeen) -> list[Expectation]:
        """What each phase must show, then the guests, the variables and the logs."""
        found: list[Expectation] = []
        for row in rows(seen):
            found += _phase_expectations(row, seen.processors)
        return [*found, *_common_expectations(seen)]

    def facts(self, seen: MleSeen) -> dict[str, Any]:
        """The kernel and the table."""
        boots = seen.run.named("boot")
        return {
            "configuration": Configuration.DUAL_MONITOR.value,
            "kernel": boots[0].fields["kernel"] if boots else None,
            "rows": [row.as_json() for row in rows(seen)],
            "guest_programs": [
                {"name": test.fields["test"], "trace": test.fields["trace"].split()} for test in seen.run.named("kvm")
            ],
        }

    def closing(self, seen: MleSeen, out: Console) -> None:
        """Where the logs are."""
        out.print(f"logs: {seen.run.run_dir}", soft_wrap=True)

    def logs(self, seen: MleSeen) -> Path:
        """The run directory."""
        return seen.run.run_dir


def _phase_expectations(row: Row, processors: int) -> list[Expectation]:
    phase, name = row.phase, row.phase.name
    found = [Expectation.equal(f"{name}: who serves SMIs", phase.served_by, row.served_by)]
    lost = [
        f"processor {cpu} counted {count} of {row.raised}"
        for cpu, count in enumerate(row.counted)
        if count != row.raised
    ]
    found.append(Expectation.nothing_wrong(f"{name}: each processor counts each SMI of port B2H", lost, row.raised))
    if phase.kvm is not None:
        wanted = [str(phase.launches[cpu > 0]) for cpu in range(processors)]
        seen = [str(count) for count, started in zip(row.launches, row.started, strict=True) if started]
        found.append(Expectation.equal(f"{name}: launches of the STM on each processor", wanted, seen or None))
        whose = ["KVM's" if phase.kvm else "the module's own"] * processors
        found.append(Expectation.equal(f"{name}: the STM's event log", list(EVENTS), row.events or None))
        own = ["the module's own" if one else "KVM's" for one in row.own_vmx]
        found.append(Expectation.equal(f"{name}: whose VMX operation it is on each processor", whose, own or None))
    return found


def _common_expectations(seen: MleSeen) -> list[Expectation]:
    run = seen.run
    variables = run.named("variable")
    bad = [
        str(found)
        for found in variables
        if (found.fields["error"], found.fields["equal"], found.fields["removed"]) != ("0", "1", "0")
    ]
    modules = [finding.fields for finding in run.named("module")]
    refused = [
        f"{module['name']} with '{module['parameters']}' was refused (errno {module['error']})"
        for module in modules
        if int(module["error"]) != (ECANCELED if "give_up=" in module["parameters"] else 0)
    ]
    unloads = [found.fields["error"] for found in run.named("unload")]
    programs = {found.fields["test"]: found.fields["trace"] for found in run.named("kvm")}
    log = run.named("log")
    complaints = [f"kernel log: {line.fields['text']}" for line in run.named("log-line")]
    return [
        Expectation.equal("variables that were written", len(PHASES) * seen.processors, len(variables) or None),
        Expectation.nothing_wrong("variables read back as written", bad, len(variables)),
        Expectation.nothing_wrong("the kernel takes each module, but the one that gives up", refused, len(modules)),
        Expectation.equal("how the module is unloaded", ["0", "0"], unloads or None),
        Expectation.equal(
            "KVM guests beside the STM",
            sorted(GUESTS),
            sorted(n for n in programs if programs[n] == GUESTS.get(n)) or None,
        ),
        Expectation.nothing_wrong("the kernel's log is clean", complaints, len(log)),
    ]
