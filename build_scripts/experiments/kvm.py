# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``kvm``: the distribution's KVM in the machine, or a program of the user's that uses it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment
from rich.console import Console

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.experiment import Expectation, Experiment, Request, tell_command
from build_scripts.linux import kernel
from build_scripts.linux.boot import PROCESSORS, TIMEOUT_SECONDS, Finding, LinuxRun, boot_linux
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.progress import step

# Beginnings of a trace word that say that a guest did not run as it should.
_BAD_WORDS = ("hangs", "signal:", "no-", "errno:", "fail-entry:", "internal-error:", "exit:", "refused")


@dataclass(frozen=True)
class KvmSeen:
    """What the boot left.

    Attributes:
        request: what the user asked for.
        run: the boot and its findings.
    """

    request: Request
    run: LinuxRun


class Kvm(Experiment[KvmSeen]):
    """Boot the distribution's Linux, load its KVM, run guest programs and a Linux guest."""

    name = "kvm"
    title = "the distribution's Linux runs its KVM, with guests, in the machine"
    page = "tutorial/own-hypervisor"
    processors = PROCESSORS
    timeout = TIMEOUT_SECONDS
    takes = frozenset({"kvm_args", "kernel_args", "program"})
    refuses: ClassVar[Mapping[str, str]] = {
        "script": "the experiment kvm boots Linux with a process 1 of the lab's and no shell that could read a script; "
        "--program FILE runs a static program of yours instead"
    }

    def check(self, request: Request) -> None:
        """Look at the user's program."""
        if request.program is not None:
            check_program(request.program)

    def boot(self, request: Request) -> KvmSeen:
        """Get the kernel, boot it, and wait until process 1 ends the machine."""
        qemu, firmware, linux = extended_qemu(), build_firmware(), kernel.locate()
        settings = (*(f"kvm_intel.{word}" for word in request.kvm_args), *request.kernel_args)
        with step(f"booting Linux {linux.version} in the machine"):
            run = boot_linux(
                qemu,
                firmware,
                linux,
                settings,
                request.program,
                timeout=self.timeout_of(request),
                processors=self.processors_of(request),
            )
        if request.verbose:
            tell_command(run.run_dir)
        return KvmSeen(request, run)

    def failure(self, seen: KvmSeen) -> LabError | None:
        """A panic, or an end that process 1 did not ask for."""
        return seen.run.failure()

    def story(self, seen: KvmSeen, out: Console) -> None:
        """The findings; what the user's program wrote goes out as it is."""
        parameters = [f"{found.fields['name']}={found.fields['value']}" for found in seen.run.named("parameter")]
        for finding in seen.run.findings:
            if finding.name == "kvm":
                show.tell(out, f"guest program {finding.fields['test']}: {finding.fields['trace']}")
            elif finding.name == "guest-line":
                show.tell(out, f"Linux guest: {finding.fields['text']}")
            elif finding.name == "step" and parameters:
                show.tell(out, f"kvm_intel: {' '.join(sorted(parameters))}")
                parameters = []
            elif finding.name not in ("parameter", "step", "end"):
                show.tell(out, str(finding))
        if seen.run.named("program"):
            print(seen.run.program_output(), end="")
        sys.stdout.flush()

    def closing(self, seen: KvmSeen, out: Console) -> None:
        """Where the logs are."""
        out.print(f"logs: {seen.run.run_dir}", soft_wrap=True)

    def expectations(self, seen: KvmSeen) -> list[Expectation]:
        """What each step that was asked for must show."""
        run = seen.run
        modules, log = run.named("module"), run.named("log")
        refused = [
            f"{module.fields['name']} was refused (errno {module.fields['error']})"
            for module in modules
            if module.fields["error"] != "0"
        ]
        complaints = [f"kernel log: {line.fields['text']}" for line in run.named("log-line")]
        processors = [int(boot.fields["cpus"]) for boot in run.named("boot")]
        found = [
            Expectation.equal(
                "processors that Linux runs", self.processors_of(seen.request), processors[0] if processors else None
            ),
            Expectation.nothing_wrong("the kernel takes each module", refused, len(modules)),
        ]
        if seen.request.program is not None:
            found.append(Expectation.equal("how the program ends", "status 0", _program_end(run)))
        else:
            found += _step_expectations(run)
        return [*found, Expectation.nothing_wrong("the kernel's log is clean", complaints, len(log))]

    def facts(self, seen: KvmSeen) -> dict[str, Any]:
        """The findings by kind."""
        run = seen.run
        boots, programs = run.named("boot"), run.named("program")
        return {
            "configuration": Configuration.NO_DUAL_MONITOR.value,
            "kernel": boots[0].fields["kernel"] if boots else None,
            "modules": [
                {"name": module.fields["name"], "error": int(module.fields["error"])} for module in run.named("module")
            ],
            "parameters": {found.fields["name"]: found.fields["value"] for found in run.named("parameter")},
            "guest_programs": [
                {"name": test.fields["test"], "trace": test.fields["trace"].split()} for test in run.named("kvm")
            ],
            "linux_guests": [guest.fields["ended"] for guest in run.named("guest")],
            "log_lines": [line.fields["text"] for line in run.named("log-line")],
            "program": _program_end(run) if programs else None,
        }

    def logs(self, seen: KvmSeen) -> Path:
        """The run directory."""
        return seen.run.run_dir


def _program_end(run: LinuxRun) -> str | None:
    for program in run.named("program"):
        return f"{'status' if program.fields['exited'] == '1' else 'signal'} {program.fields['status']}"
    return None


def _step_expectations(run: LinuxRun) -> list[Expectation]:
    """Guest programs and Linux guests, for the steps that process 1 began; without any step there is no success."""
    steps = {step.fields["name"] for step in run.named("step")}
    programs, guests = run.named("kvm"), run.named("guest")
    bad = [
        f"guest program {test.fields['test']}: {test.fields['trace']}"
        for test in programs
        if any(word.startswith(_BAD_WORDS) for word in test.fields["trace"].split())
    ]
    ends = [f"the Linux guest ended by {end.fields['ended']}" for end in guests if not _guest_ended(end)]
    found = []
    if programs or steps != {"guest"}:
        found.append(Expectation.nothing_wrong("guest programs run to their end", bad, len(programs)))
    if guests or "guest" in steps or not steps:
        found.append(Expectation.nothing_wrong("the Linux guest ends by its own restart", ends, len(guests)))
    return found


def _guest_ended(end: Finding) -> bool:
    return end.fields["ended"] == "shutdown"


def check_program(path: Path) -> None:
    """Refuse what the machine's process 1, the only program beside it, could not start.

    Raises:
        LabError: no such file, not a program for this processor, or one that needs shared libraries.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            machine = elf.get_machine_arch()
            loaders = [part.get_interp_name() for part in elf.iter_segments() if isinstance(part, InterpSegment)]
    except OSError as error:
        raise LabError(f"--program {path}: {error.strerror}", ExitCode.USAGE) from error
    except (ELFError, UnicodeDecodeError) as error:
        raise LabError(f"--program {path} is not an ELF program ({error})", ExitCode.USAGE) from error
    if machine != "x64":
        raise LabError(f"--program {path} is a program for {machine}", ExitCode.USAGE, remedy="compile it for x86-64")
    if loaders:
        raise LabError(
            f"--program {path} needs {loaders[0]}, which the machine does not have",
            ExitCode.USAGE,
            remedy="link it statically: gcc -static",
        )
