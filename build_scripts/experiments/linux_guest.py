# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``linux``: the distribution's kernel as the guest of the executive monitor, and without it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.experiment import Expectation, Experiment, Request, tell_command
from build_scripts.linux import kernel
from build_scripts.linux.boot import LinuxRun
from build_scripts.linux.executive import TIMEOUT_SECONDS, LinuxGuest, boot_guest
from build_scripts.machine.machine import CONSOLE_LOG
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome, show
from build_scripts.observation.events import Kind, Stream, read_stream
from build_scripts.observation.report import VMX_REASON_IO_SMI, VMX_REASON_OTHER_SMI, Smi, group_smis
from build_scripts.progress import step

PROCESSORS = 2
# Of the boot without the monitor.
MOST_PERCENT = 130
# When the kernel, by its own clock, has booted.
_BOOTED = re.compile(r"^\[ *([\d.]+)\] Run /init as init process", re.MULTILINE)


@dataclass(frozen=True)
class LinuxSeen:
    """What the two boots left.

    Attributes:
        request: what the user asked for.
        processors: of the machine.
        plain: the boot without the executive monitor.
        guest: the boot as its guest.
        stream: the records of `guest`.
    """

    request: Request
    processors: int
    plain: LinuxRun
    guest: LinuxRun
    stream: Stream

    def smis(self) -> list[Smi]:
        """The SMIs of the guest, from the last launch of a processor to the end of the machine."""
        launched = [record.t for record in self.stream.of("EXEC", "launch")]
        ended = [record.t for record in self.stream.of("EXEC", "power")]
        if not launched or not ended:
            return []
        return [smi for smi in group_smis(self.stream.transitions) if max(launched) <= smi.t <= ended[0]]


class LinuxExperiment(Experiment[LinuxSeen]):
    """Boot Linux without a monitor, then as the guest of the executive monitor, with the STM serving its SMIs."""

    name = "linux"
    title = "the distribution's Linux is the executive monitor's guest"
    page = "tutorial/linux-guest"
    processors = PROCESSORS
    timeout = TIMEOUT_SECONDS
    takes = frozenset({"kernel", "kernel_args"})
    refuses: ClassVar[Mapping[str, str]] = {
        "script": "the experiment linux has a script of its own, which starts the executive monitor and the kernel; "
        "first-light runs yours"
    }

    def check(self, request: Request) -> None:
        """Nothing to refuse."""

    def boot(self, request: Request) -> LinuxSeen:
        """Get the kernel and boot it twice, with instructions counted, so that the boots can be compared."""
        qemu, firmware, linux = extended_qemu(), build_firmware(), kernel.locate(request.kernel or kernel.DEFAULT)
        runs = []
        for monitor in (False, True):
            guest = LinuxGuest(
                qemu,
                firmware,
                linux,
                processors=self.processors_of(request),
                monitor=monitor,
                settings=request.kernel_args,
                icount=True,
            )
            what = "as the executive monitor's guest" if monitor else "without a monitor"
            with step(f"booting Linux {linux.version} {what}"):
                runs.append(boot_guest(guest, self.timeout_of(request)))
            if request.verbose:
                tell_command(runs[-1].run_dir)
        return LinuxSeen(request, self.processors_of(request), runs[0], runs[1], read_stream(runs[1].run_dir))

    def failure(self, seen: LinuxSeen) -> LabError | None:
        """A crash, a panic, or an end that process 1 did not ask for."""
        crash = outcome.crash_record(seen.stream)
        if crash is not None:
            return LabError(f"a monitor crashed: {crash}", ExitCode.GUEST_CRASHED)
        return seen.plain.failure(" without a monitor") or seen.guest.failure(" as a guest")

    def story(self, seen: LinuxSeen, out: Console) -> None:
        """What process 1 found as a guest."""
        for finding in seen.guest.findings:
            if finding.name not in ("end", "log-line", "module", "registers"):
                show.tell(out, f"Linux: {finding}")
        for record in seen.stream.of("EXEC", "power"):
            out.print(f"executive monitor: {record.text('event')}, leaves on every processor first")

    def expectations(self, seen: LinuxSeen) -> list[Expectation]:
        """What the guest must find, what the STM must do for it, and how it ends."""
        return [*_guest_expectations(seen), *_smi_expectations(seen), *_end_expectations(seen)]

    def facts(self, seen: LinuxSeen) -> dict[str, Any]:
        """What was found, and both boot times."""
        boots = seen.guest.named("boot")
        return {
            "configuration": Configuration.DUAL_MONITOR.value,
            "kernel": boots[0].fields["kernel"] if boots else None,
            "online": _online(seen.guest),
            "variables": len(seen.guest.named("variable")),
            "smis": len(seen.smis()),
            "boot_seconds": {"plain": boot_seconds(seen.plain), "guest": boot_seconds(seen.guest)},
            "log_lines": _new_lines(seen),
            "ended_by": next((record.text("event") for record in seen.stream.of("EXEC", "power")), None),
        }

    def closing(self, seen: LinuxSeen, out: Console) -> None:
        """Where the logs are."""
        out.print(f"logs: {seen.plain.run_dir}", soft_wrap=True)
        out.print(f"logs: {seen.guest.run_dir}", soft_wrap=True)

    def logs(self, seen: LinuxSeen) -> Path:
        """Those of the guest."""
        return seen.guest.run_dir

    def run_dirs(self, seen: LinuxSeen) -> list[Path]:
        """Those of all boots."""
        return [seen.plain.run_dir, seen.guest.run_dir]


def boot_seconds(run: LinuxRun) -> float | None:
    """How long the kernel took to its process 1, by its own clock, which counts instructions; None if it did not."""
    console = run.run_dir / CONSOLE_LOG
    found = _BOOTED.search(console.read_text(encoding="utf-8", errors="replace")) if console.is_file() else None
    return float(found[1]) if found is not None else None


def _online(run: LinuxRun) -> int | None:
    found = run.named("processor")
    # One that sleeps looks at each of them again.
    return len({each.fields["cpu"] for each in found if each.fields["online"] == "1"}) if found else None


def _new_lines(seen: LinuxSeen) -> list[str]:
    """Warnings of the kernel that are not there without the monitor."""
    texts = [Counter(line.fields["text"] for line in run.named("log-line")) for run in (seen.guest, seen.plain)]
    return sorted((texts[0] - texts[1]).elements())


def _guest_expectations(seen: LinuxSeen) -> list[Expectation]:
    processors, msrs = seen.guest.named("processor"), seen.guest.named("msr")
    shown = [f"processor {found.fields['cpu']}" for found in processors if found.fields.get("cpuid_vmx") != "0"]
    readable = [
        f"MSR {msr.fields['index']} on processor {msr.fields['cpu']}" for msr in msrs if msr.fields["error"] == "0"
    ]
    variables = seen.guest.named("variable")
    bad = [
        f"processor {found.fields['cpu']}: {found}"
        for found in variables
        if (found.fields["error"], found.fields["equal"], found.fields["removed"]) != ("0", "1", "0")
    ]
    return [
        Expectation.equal("processors that Linux runs on", seen.processors, _online(seen.guest)),
        Expectation.nothing_wrong("CPUID shows no VMX", shown, len(processors)),
        Expectation.nothing_wrong("the MSRs of VMX fault", readable, len(msrs)),
        Expectation.nothing_wrong("UEFI variables read back as written", bad, len(variables)),
        Expectation.nothing_wrong("the kernel's log is as without a monitor", _new_lines(seen), _looked_at(seen)),
    ]


def _looked_at(seen: LinuxSeen) -> int:
    """Lines of the log that were looked at; none unless both kernels came so far."""
    return min((int(log.fields["lines"]) for run in (seen.plain, seen.guest) for log in run.named("log")), default=0)


def _smi_expectations(seen: LinuxSeen) -> list[Expectation]:
    smis = seen.smis()
    counts = [int(found.fields["count0"]) for found in seen.guest.named("smis")]
    raised = [int(found.fields["raised"]) for found in seen.guest.named("smis")]
    counted = None if len(counts) < 2 else counts[1] - counts[0]
    others = [f"an SMI on processor {smi.cpu} at t={smi.t}" for smi in smis if not smi.dual_monitor]
    odd = [
        f"an SMI on processor {smi.cpu} took {smi.transitions}"
        for smi in smis
        if smi.dual_monitor and not smi.plain and not smi.extra_exits
    ]
    exits = [event for event in seen.stream.transitions if event.kind is Kind.EXIT]
    strayed = [
        f"exit {event.basic_reason} on processor {event.cpu}"
        for event in exits
        if event.basic_reason in (VMX_REASON_IO_SMI, VMX_REASON_OTHER_SMI)
    ]
    return [
        Expectation.equal("SMIs counted of those raised by port B2H", raised[1] if len(raised) > 1 else None, counted),
        Expectation.nothing_wrong("the STM serves every SMI", others, len(smis)),
        Expectation.nothing_wrong("a plain SMI takes four transitions", odd, len(smis)),
        Expectation.nothing_wrong("no SMI exits to the executive monitor", strayed, len(exits)),
    ]


def _end_expectations(seen: LinuxSeen) -> list[Expectation]:
    power = [record.text("event") for record in seen.stream.of("EXEC", "power")]
    left = {record.number("cpu") for record in seen.stream.of("EXEC", "vmxoff")}
    times = boot_seconds(seen.plain), boot_seconds(seen.guest)
    percent = None if times[0] is None or times[1] is None else round(100 * times[1] / times[0])
    return [
        Expectation.equal("what ends the machine", "sleep", power[0] if power else None),
        Expectation.equal("processors on which VMX operation is left", seen.processors, len(left) or None),
        Expectation(
            "boot time, percent of that without a monitor",
            f"at most {MOST_PERCENT}",
            percent,
            percent is not None and percent <= MOST_PERCENT,
        ),
    ]
