"""Boots the built firmware in QEMU, for ``stuart_build --FlashRom``.

Copyright (c) 2026, STM Lab contributors
SPDX-License-Identifier: BSD-2-Clause-Patent
"""

import logging
import shutil
import subprocess
from pathlib import Path

from build_scripts.machine import processors


def boot(qemu: str, cpu: str, firmware: Path, run_directory: Path, script: str) -> int:
    """Boot once and wait for QEMU to end; the serial console is this terminal.

    Args:
        qemu: binary, by path or by name.
        cpu: CPU model; empty for the lab's, with the dual-monitor treatment if
            the binary has it.
        firmware: directory with OVMF_CODE.fd and OVMF_VARS.fd.
        run_directory: gets the variable store's copy and the logs.
        script: Shell commands separated by ``;``; empty for a prompt.

    Returns:
        QEMU's exit status; 1 without a QEMU.
    """
    binary = shutil.which(qemu)
    if binary is None:
        logging.critical("no QEMU: %s (set QEMU_PATH)", qemu)
        return 1
    if not cpu:
        cpu = processors.DUAL_MONITOR_CPU if processors.has_dual_monitor(binary) else processors.BASE_CPU
    lines = tuple(part.strip() for part in script.split(";") if part.strip())
    run_directory.mkdir(parents=True, exist_ok=True)
    guest = processors.Guest(
        qemu=Path(binary),
        cpu=cpu,
        code=firmware / "OVMF_CODE.fd",
        variables=firmware / "OVMF_VARS.fd",
        script=lines,
        icount=False,
        extra=("-serial", "stdio"),
    )
    # A boot writes its variable store; the build's own copy has to stay pristine.
    shutil.copyfile(guest.variables, run_directory / "OVMF_VARS.fd")
    (run_directory / "script").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    logging.info("logs: %s", run_directory)
    return subprocess.run(processors.arguments(guest, run_directory), check=False).returncode
