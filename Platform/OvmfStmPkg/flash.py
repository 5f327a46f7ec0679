"""Boots the built firmware in QEMU, for ``stuart_build --FlashRom``.

Copyright (c) 2026, STM Lab contributors
SPDX-License-Identifier: BSD-2-Clause-Patent
"""

import logging
import shutil
import subprocess
from pathlib import Path

# One device per stream of records; StmPkg/Include/StmRecord.h has the ports.
STREAMS = {"firmware.log": 0x402, "stm.log": 0x403, "executive.log": 0x404, "records.log": 0x405}
BASE_CPU = "max,vendor=GenuineIntel,-svm,-la57"
TREATMENT = ",+vmx,vmx-dual-monitor=on"
SCRIPT_KEY = "opt/org.stmlab/script"


def cpu_model(qemu: str) -> str:
    """The lab's CPU model, with the dual-monitor treatment if this QEMU has it.

    The binary is asked, not its name: the distribution's and ours share one.
    """
    listing = subprocess.run(
        [qemu, "-machine", "none", "-device", "max-x86_64-cpu,help"],
        capture_output=True,
        text=True,
        check=False,
    )
    return BASE_CPU + (TREATMENT if "vmx-dual-monitor" in listing.stdout else "")


def arguments(qemu: str, cpu: str, firmware: Path, run_directory: Path, script: str) -> list[str]:
    """The command line of one boot; ``firmware`` holds OVMF_CODE.fd, the run directory the VARS copy."""
    result = [qemu, "-machine", "q35,smm=on", "-cpu", cpu, "-m", "512M", "-smp", "1"]
    result += ["-accel", "tcg", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    result += ["-global", "mch.extended-tseg-mbytes=16"]
    result += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    code = firmware / "OVMF_CODE.fd"
    result += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"]
    result += ["-drive", f"if=pflash,format=raw,unit=1,file={run_directory / 'OVMF_VARS.fd'}"]
    for name, port in STREAMS.items():
        identity = name.removesuffix(".log")
        result += ["-chardev", f"file,id={identity},path={run_directory / name}"]
        result += ["-device", f"isa-debugcon,iobase={port:#x},chardev={identity}"]
    if script:
        result += ["-fw_cfg", f"name={SCRIPT_KEY},file={run_directory / 'script'}"]
    return result


def boot(qemu: str, cpu: str, firmware: Path, run_directory: Path, script: str) -> int:
    """Boot once and wait for QEMU to end.

    Args:
        qemu: binary, by path or by name.
        cpu: CPU model; empty for the lab's.
        firmware: directory with OVMF_CODE.fd and OVMF_VARS.fd.
        run_directory: gets the variable store's copy and the logs.
        script: Shell commands separated by ``;``; empty for a prompt.

    Returns:
        QEMU's exit status.
    """
    if shutil.which(qemu) is None:
        logging.critical("no QEMU: %s (set QEMU_PATH)", qemu)
        return 1
    run_directory.mkdir(parents=True, exist_ok=True)
    # A boot writes its variable store; the build's own copy has to stay pristine.
    shutil.copyfile(firmware / "OVMF_VARS.fd", run_directory / "OVMF_VARS.fd")
    lines = [part.strip() for part in script.split(";") if part.strip()]
    (run_directory / "script").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    command = arguments(qemu, cpu or cpu_model(qemu), firmware, run_directory, "\n".join(lines))
    logging.info("logs: %s", run_directory)
    return subprocess.run(command, check=False).returncode
