# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's kernel as the guest of the executive monitor, started by the firmware's Shell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.linux import initramfs
from build_scripts.linux.boot import LinuxRun, parse_console, parse_panic
from build_scripts.linux.drive import write_drive
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
# The setting with which process 1 idles, and the lab has to wake it.
S2IDLE = "lab.sleep=s2idle"
# The kernel's last word before it suspends devices and idles. The end of the console that is looked at, in bytes.
_LAST_WORD = b"Suspending console(s)"
_END_OF_CONSOLE = 200
_PRESS_SECONDS = 1.0


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


class PowerButton:
    """Wakes a guest that idles in its sleep (s2idle), of which the machine knows nothing.

    A press before the guest has come to rest is lost, so it is repeated as long as the guest says nothing.
    """

    def __init__(self, console: Path) -> None:
        """Look at this file, to which the guest writes."""
        self._console = console
        self._pressed = 0.0

    def __call__(self) -> bool:
        """Whether to press now."""
        if time.monotonic() - self._pressed < _PRESS_SECONDS or not self._console.is_file():
            return False
        self._pressed = time.monotonic()
        with self._console.open("rb") as console:
            console.seek(max(0, self._console.stat().st_size - _END_OF_CONSOLE))
            return _LAST_WORD in console.read().rstrip().rpartition(b"\n")[2]


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
    button = PowerButton(run_dir / CONSOLE_LOG) if S2IDLE in guest.settings else None
    try:
        ending = boot(machine, run_dir, timeout, button=button)
    finally:
        drive.unlink()  # large, and made again at once
    text = (run_dir / CONSOLE_LOG).read_text(encoding="utf-8", errors="replace")
    return LinuxRun(run_dir, ending, parse_console(text), parse_panic(text))
