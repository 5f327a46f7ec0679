# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One boot of the distribution's kernel in the machine, and the findings that it reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode, LabError
from build_scripts.linux import initramfs
from build_scripts.linux.kernel import Kernel
from build_scripts.machine import fw_cfg
from build_scripts.machine.machine import Ending, boot
from build_scripts.machine.processors import VMX_CPU, Guest

MEMORY = "1G"
PROCESSORS = 2
# printk.devkmsg: no limit for what process 1 reports. panic: a panic ends the machine.
# no_timer_check: the kernel counts timer interrupts during ten of its own time-outs and panics if a busy host let none
# through ("IO-APIC + timer doesn't work"); the interrupt itself works, as every later line of the log shows.
COMMAND_LINE = ("console=ttyS0", "printk.devkmsg=on", "panic=-1", "no_timer_check")
TIMEOUT_SECONDS = 400.0

_PROGRAM_BEGINS = "lab: program begins"
_PANIC = re.compile(r"^\[ *[\d.]+\] Kernel panic - not syncing: (.+?)\r?$", re.MULTILINE)
_FINDING = re.compile(r"^\[ *[\d.]+\] lab: (\S+) ?(.*)$")
# The value of these three is the rest of the line.
_FIELD = re.compile(r"(?:(text|trace|parameters)=(.*)|(\w+)=(\S*))")


@dataclass(frozen=True)
class Finding:
    """One line ``lab: NAME KEY=VALUE ...`` of the console."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The line without its mark."""
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.fields.items())])


@dataclass(frozen=True)
class LinuxRun:
    """What one boot left.

    Attributes:
        run_dir: its logs; ``console.log`` is the kernel's console.
        ending: how the machine ended.
        findings: what process 1 reported, in order.
        panic: what the kernel said when it gave up; empty if it did not.
    """

    run_dir: Path
    ending: Ending
    findings: tuple[Finding, ...]
    panic: str = ""

    def program_output(self) -> str:
        """What the user's program wrote."""
        path = self.run_dir / "program.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        return text.partition(_PROGRAM_BEGINS)[2].replace("\r\n", "\n").lstrip("\r\n")

    def named(self, name: str) -> list[Finding]:
        """The findings of that name."""
        return [finding for finding in self.findings if finding.name == name]

    def failure(self, how: str = "") -> LabError | None:
        """A panic, or an end that process 1 did not ask for.

        Args:
            how: Linux ran, if there was another run: a phrase that begins with a space.
        """
        if self.panic:
            return LabError(f"the kernel{how} panicked: {self.panic}", ExitCode.GUEST_HUNG)
        if not self.ending.requested or not self.named("end"):
            return LabError(f"Linux{how} did not reach its end ({self.ending.reason})", ExitCode.GUEST_HUNG)
        return None


def parse_panic(text: str) -> str:
    """What a kernel that gave up wrote to its console; empty if it did not give up."""
    found = _PANIC.search(text)
    return found[1] if found is not None else ""


def parse_console(text: str) -> tuple[Finding, ...]:
    """The findings on a console."""
    matches = (_FINDING.match(line.rstrip("\r")) for line in text.split("\n"))
    return tuple(Finding(match[1], _fields(match[2])) for match in matches if match is not None)


def _fields(text: str) -> dict[str, str]:
    return {found[1] or found[3]: found[2] or found[4] or "" for found in _FIELD.finditer(text)}


def boot_linux(
    qemu: Path,
    firmware: Firmware,
    kernel: Kernel,
    settings: tuple[str, ...] = (),
    program: Path | None = None,
    trace: tuple[str, ...] = (),
    icount: bool = False,
    timeout: float = TIMEOUT_SECONDS,
    processors: int = PROCESSORS,
    cpu: str = VMX_CPU,
    modules: tuple[Path, ...] = (),
    beside: Mapping[str, bytes] | None = None,
    words: tuple[str, ...] = (),
) -> LinuxRun:
    """Boot, and wait until process 1 ends the machine.

    Args:
        settings: further words of the kernel's command line; build_scripts/linux/init/init.c lists the lab's.
        program: a static program to run instead of the lab's own steps.
        trace: trace events of the machine.
        icount: count instructions, with the processors in turn; slower, and one run is like the other.
        timeout: in seconds.
        processors: how many the machine has.
        cpu: CPU model string.
        modules: of the lab's own, for process 1 to load.
        beside: further files of its first file system, path to content.
        words: fw_cfg files for the firmware, ``NAME=VALUE``.
    """
    run_dir = paths.new_run_dir("linux")
    (run_dir / "initrd").write_bytes(initramfs.build(kernel, program, modules, beside))
    extra = ["-m", MEMORY, "-smp", str(processors), "-kernel", str(kernel.image)]
    # What a program of the user's writes has a serial port of its own, beside the console.
    extra += ["-chardev", f"file,id=program,path={run_dir / 'program.log'}"]
    extra += ["-device", "isa-serial,chardev=program,index=1"]
    extra += fw_cfg.arguments(words)
    extra += ["-initrd", str(run_dir / "initrd"), "-append", " ".join([*COMMAND_LINE, *settings])]
    guest = Guest(
        qemu,
        cpu,
        firmware.code,
        firmware.variables,
        icount=icount,
        trace=trace,
        extra=tuple(extra),
        stm_image=firmware.override,
    )
    try:
        ending = boot(guest, run_dir, timeout)
    finally:
        (run_dir / "initrd").unlink()  # large, and made again at once
    console = run_dir / "console.log"
    text = console.read_text(encoding="utf-8", errors="replace") if console.is_file() else ""
    return LinuxRun(run_dir, ending, parse_console(text), parse_panic(text))
