# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A machine whose serial port is the user's terminal. Ctrl-A X ends it, Ctrl-A H names the other keys."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.machine import COMMAND_FILE
from build_scripts.machine.processors import STM_IMAGE_FILE, Guest, arguments
from build_scripts.processes import ends_with_parent


def talk(guest: Guest, run_dir: Path) -> int:
    """Boot, and let the user talk to the guest until one of the two ends it; returns QEMU's exit status.

    Raises:
        LabError: a script is not ASCII, or QEMU cannot be started.
    """
    script = "".join(f"{line}\n" for line in guest.script)
    if not script.isascii():
        raise LabError("a guest script must be ASCII", ExitCode.USAGE)
    run_dir.mkdir(parents=True, exist_ok=True)
    # A boot writes its variable store; the build's own copy has to stay pristine.
    shutil.copyfile(guest.variables, run_dir / "OVMF_VARS.fd")
    if guest.stm_image is not None:
        shutil.copyfile(guest.stm_image, run_dir / STM_IMAGE_FILE)
    (run_dir / "script").write_text(script, encoding="ascii")
    command = [*arguments(guest, run_dir), "-serial", "mon:stdio"]
    (run_dir / COMMAND_FILE).write_text("\n".join(command) + "\n", encoding="utf-8")
    try:
        return subprocess.run(command, cwd=run_dir, preexec_fn=ends_with_parent(), check=False).returncode
    except OSError as error:
        raise LabError(f"QEMU could not be started: {error}", ExitCode.USAGE) from error
