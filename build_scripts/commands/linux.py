# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``linux``: boot the distribution's KVM, or a program of the user's, and show what was seen."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.linux import kernel
from build_scripts.linux.boot import TIMEOUT_SECONDS, Finding, LinuxRun, boot_linux
from build_scripts.progress import say, step

# Beginnings of a trace word that say that a guest did not run as it should.
_BAD_WORDS = ("hangs", "signal:", "no-", "errno:", "fail-entry:", "internal-error:", "exit:", "refused")


@dataclass(frozen=True)
class LinuxRequest:
    """What the user asked for.

    Attributes:
        kvm: parameters of kvm_intel, such as ``ept=0``.
        words: further words of the kernel's command line.
        program: a static program to run instead of the lab's steps.
        timeout: limit of the boot in seconds.
    """

    kvm: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    program: Path | None = None
    timeout: float = TIMEOUT_SECONDS


def problems(run: LinuxRun) -> list[str]:
    """What is wrong in a boot that powered off; empty if nothing is."""
    found = [
        f"{module.fields['name']} was refused (errno {module.fields['error']})"
        for module in run.named("module")
        if module.fields["error"] != "0"
    ]
    for test in run.named("kvm"):
        words = test.fields["trace"].split()
        if any(word.startswith(_BAD_WORDS) for word in words):
            found.append(f"guest program {test.fields['test']}: {test.fields['trace']}")
    found += [f"the Linux guest ended by {end.fields['ended']}" for end in run.named("guest") if not _guest_ended(end)]
    found += [f"kernel log: {line.fields['text']}" for line in run.named("log-line")]
    found += [
        f"the program ended with status {program.fields['status']}"
        for program in run.named("program")
        if program.fields["exited"] != "1" or program.fields["status"] != "0"
    ]
    return found


def _guest_ended(end: Finding) -> bool:
    return end.fields["ended"] == "shutdown"


def show(run: LinuxRun) -> None:
    """Print the findings, parameters of the module in one line."""
    parameters = [f"{found.fields['name']}={found.fields['value']}" for found in run.named("parameter")]
    for finding in run.findings:
        if finding.name == "kvm":
            print(f"guest program {finding.fields['test']}: {finding.fields['trace']}")
        elif finding.name == "guest-line":
            print(f"Linux guest: {finding.fields['text']}")
        elif finding.name == "step" and parameters:
            print(f"kvm_intel: {' '.join(sorted(parameters))}")
            parameters = []
        elif finding.name not in ("parameter", "step", "end"):
            print(finding)
    if run.named("program"):
        print(run.program_output(), end="")
    print(f"logs: {run.run_dir}")


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


def run(request: LinuxRequest) -> int:
    """Boot and show; returns an exit code.

    Raises:
        LabError: something could not be obtained or built, or a file is bad.
    """
    if request.program is not None:
        check_program(request.program)
    qemu, firmware, linux = extended_qemu(), build_firmware(), kernel.locate()
    settings = (*(f"kvm_intel.{word}" for word in request.kvm), *request.words)
    with step(f"booting Linux {linux.version} in the machine"):
        result = boot_linux(qemu, firmware, linux, settings, request.program, timeout=request.timeout)
    show(result)
    sys.stdout.flush()
    error: LabError | None = None
    if result.panic:
        error = LabError(f"the kernel panicked: {result.panic}", ExitCode.GUEST_HUNG)
    elif not result.ending.requested or not result.named("end"):
        error = LabError(f"Linux did not reach its end ({result.ending.reason})", ExitCode.GUEST_HUNG)
    elif wrong := problems(result):
        text = "\n  ".join(["the run did not show what it should:", *wrong])
        error = LabError(text, ExitCode.EXPECTATION_FAILED)
    if error is None:
        return ExitCode.OK
    error.log = result.run_dir
    say(str(error))
    return int(error.code)
