# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's kernel as the guest of the executive monitor, started by the firmware's Shell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.linux import initramfs
from build_scripts.linux.boot import LinuxRun, parse_console, parse_panic
from build_scripts.linux.fat import write_drive
from build_scripts.linux.kernel import Kernel
from build_scripts.machine.machine import CONSOLE_LOG, boot
from build_scripts.machine.processors import Configuration, Guest

# The drive of `LinuxGuest` to the Shell.
DRIVE = "FS1:"
# printk.devkmsg: no limit for what process 1 reports. panic: a panic resets the machine.
# no_timer_check: a busy host must not make the kernel believe that its timer does not work.
COMMAND_LINE = ("console=ttyS0", "printk.devkmsg=on", "panic=-1", "no_timer_check", "lab.role=executive")
TIMEOUT_SECONDS = 400.0
TRACE = ("vmx_*",)


@dataclass(frozen=True)
class LinuxGuest:
    """What is booted, and how.

    Attributes:
        qemu: the extended QEMU.
        firmware: finished images.
        kernel: the kernel.
        configuration: which processor.
        processors: how many.
        monitor: whether the executive monitor is started before.
        options: of the executive monitor's start.
        settings: further words of the kernel's command line; build_scripts/linux/init/init.c lists the lab's.
        trace: trace events of the machine.
        icount: count instructions, with the processors in turn; one run is like the other.
    """

    qemu: Path
    firmware: Firmware
    kernel: Kernel
    configuration: Configuration = Configuration.DUAL_MONITOR
    processors: int = 2
    monitor: bool = True
    options: str = ""
    settings: tuple[str, ...] = ()
    trace: tuple[str, ...] = TRACE
    icount: bool = False

    def script(self) -> tuple[str, ...]:
        """The Shell's commands: the monitor, then the kernel, which is an EFI application of its own."""
        words = [rf"{DRIVE}\vmlinuz.efi", r"initrd=\initrd", *COMMAND_LINE, *self.settings]
        return (*([f"ExecMon.efi start {self.options}".rstrip()] if self.monitor else []), " ".join(words))


def boot_guest(guest: LinuxGuest, timeout: float = TIMEOUT_SECONDS) -> LinuxRun:
    """Boot, and wait until process 1 ends the machine.

    Args:
        timeout: in seconds.
    """
    run_dir = paths.new_run_dir("linux-guest")
    drive = run_dir / "drive"
    files = {"vmlinuz.efi": guest.kernel.image.read_bytes(), "initrd": initramfs.build_plain(guest.kernel)}
    write_drive(drive, files)
    extra = ["-drive", f"file={drive},format=raw,if=none,id=linux,read-only=on"]
    extra += ["-device", "virtio-blk-pci,drive=linux"]
    machine = Guest(
        qemu=guest.qemu,
        cpu=guest.configuration.cpu,
        code=guest.firmware.code,
        variables=guest.firmware.variables,
        script=guest.script(),
        processors=guest.processors,
        icount=guest.icount,
        trace=guest.trace,
        extra=tuple(extra),
        stm_image=guest.firmware.override,
    )
    try:
        ending = boot(machine, run_dir, timeout)
    finally:
        drive.unlink()  # large, and made again at once
    text = (run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    return LinuxRun(run_dir, ending, parse_console(text), parse_panic(text))
