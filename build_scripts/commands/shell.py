# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``shell``: the UEFI Shell of the lab's machine on the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.shell import TRACE, find_firmware, find_qemu
from build_scripts.machine import fw_cfg
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.machine.terminal import talk
from build_scripts.progress import say


def shell(configuration: Configuration, processors: int, files: tuple[str, ...], image: Path | None = None) -> int:
    """Boot into the Shell's prompt and leave the terminal to it; returns an exit code.

    Args:
        configuration: which processor.
        processors: how many.
        files: further fw_cfg files, ``NAME=VALUE`` or ``NAME=@FILE``.
        image: an STM image to run instead of the checkout's own.
    Raises:
        LabError: there is no terminal, an argument is bad, or a build failed.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LabError(
            "shell needs a terminal to talk to",
            ExitCode.USAGE,
            remedy="for commands that nobody types: run --script FILE",
        )
    extra = fw_cfg.arguments(files)
    qemu = find_qemu(configuration)
    firmware = find_firmware(image)
    run_dir = paths.new_run_dir(configuration.value)
    guest = Guest(
        qemu=qemu,
        cpu=configuration.cpu,
        code=firmware.code,
        variables=firmware.variables,
        processors=processors,
        icount=False,
        trace=TRACE if configuration.extended else (),
        extra=extra,
        stm_image=firmware.override,
    )
    say("Ctrl-A X ends the machine, Ctrl-A H names other keys; 'ExecMon.efi start' starts executive monitor and STM")
    status = talk(guest, run_dir)
    say(f"logs: {run_dir}")
    return int(ExitCode.OK if status == 0 else ExitCode.GUEST_HUNG)
