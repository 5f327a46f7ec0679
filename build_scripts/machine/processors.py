# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The CPU models of the lab and the command line of its machine, in this one place.

Standard library only, so that a plain stuart environment can use it too.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

# Vendor: firmware and systems take vendor branches. svm: shares TCG state with VMX. la57: not in this machine.
BASE_CPU = "max,vendor=GenuineIntel,-svm,-la57"
VMX_CPU = f"{BASE_CPU},+vmx"
DUAL_MONITOR_CPU = f"{VMX_CPU},vmx-dual-monitor=on"


class Configuration(StrEnum):
    """The three processors that the one firmware image must cope with."""

    STOCK = "stock"
    NO_DUAL_MONITOR = "no-dual-monitor"
    DUAL_MONITOR = "dual-monitor"

    @property
    def cpu(self) -> str:
        """The CPU model string."""
        return {"stock": BASE_CPU, "no-dual-monitor": VMX_CPU, "dual-monitor": DUAL_MONITOR_CPU}[self.value]

    @property
    def extended(self) -> bool:
        """Whether it needs our QEMU."""
        return self is not Configuration.STOCK


# One device per stream of records; StmPkg/Include/StmRecord.h has the ports.
STREAMS = {"firmware.log": 0x402, "stm.log": 0x403, "executive.log": 0x404, "records.log": 0x405}
STM_LOG = "stm.log"
SCRIPT_KEY = "opt/org.stmlab/script"
STM_IMAGE_KEY = "opt/org.stmlab/stm-image"
STM_IMAGE_FILE = "Stm.mseg"
ICOUNT = "shift=5,sleep=off"
MEMORY = "512M"
TSEG_MEGABYTES = 16


def has_dual_monitor(qemu: Path | str) -> bool:
    """Whether this binary offers the dual-monitor treatment; it is asked, its name says nothing."""
    query = [str(qemu), "-machine", "none", "-device", "max-x86_64-cpu,help"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return "vmx-dual-monitor" in result.stdout


@cache
def keeps_port_for_smm(qemu: Path | str) -> bool:
    """Whether this binary's debug console can be closed to all code but that in SMM; it is asked, too."""
    query = [str(qemu), "-machine", "none", "-device", "isa-debugcon,help"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return False  # starting it will say why
    return "secure=" in result.stdout


def _streams(guest: Guest, run_dir: Path) -> list[str]:
    """One debug console for each stream of records.

    That of the STM takes what code in SMM writes, and nothing else, so nobody forges its records. Without VMX there
    is no STM, and no such console: what came by it would be forged.
    """
    result: list[str] = []
    for name, port in STREAMS.items():
        identity = name.removesuffix(".log")
        console = f"isa-debugcon,iobase={port:#x},chardev={identity}"
        if name == STM_LOG:
            if "+vmx" not in guest.cpu:
                continue
            console += ",secure=on" if keeps_port_for_smm(guest.qemu) else ""
        result += ["-chardev", f"file,id={identity},path={run_dir / name}", "-device", console]
    return result


def version(qemu: Path | str) -> str:
    """The version that the binary tells, such as ``10.0.13``."""
    result = subprocess.run([str(qemu), "--version"], capture_output=True, text=True, check=False)
    words = result.stdout.split()
    return words[words.index("version") + 1].split("(")[0] if "version" in words else "unknown"


@dataclass(frozen=True)
class Guest:
    """One boot: which binary, which processor, which images, which commands.

    Attributes:
        qemu: the binary.
        cpu: CPU model string of this module.
        code: firmware image, only read.
        variables: variable store; copied into the run directory.
        script: shell commands, one a line, executed in order; empty for a prompt.
        processors: how many; more than one run in turn if instructions are counted, and the counts are of all.
        icount: whether instructions are counted (slower clock, repeatable).
        trace: trace events to log, as patterns; only what the binary knows.
        extra: further QEMU arguments.
        stm_image: an STM image for the firmware to run instead of its own; copied into the run directory.
    """

    qemu: Path
    cpu: str
    code: Path
    variables: Path
    script: tuple[str, ...] = ()
    processors: int = 1
    icount: bool = True
    trace: tuple[str, ...] = ()
    extra: tuple[str, ...] = field(default=())
    stm_image: Path | None = None


def arguments(guest: Guest, run_dir: Path) -> list[str]:
    """The command line of one boot; logs, script and copies of what is passed are in `run_dir`."""
    result = [str(guest.qemu), "-machine", "q35,smm=on", "-cpu", guest.cpu, "-m", MEMORY]
    result += ["-smp", str(guest.processors)]
    result += ["-accel", "tcg", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    result += ["-global", f"mch.extended-tseg-mbytes={TSEG_MEGABYTES}"]
    result += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    # That device exists to patch guest code, and asks for a blob.
    result += ["-global", "apic-common.vapic=off"]
    result += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={guest.code}"]
    result += ["-drive", f"if=pflash,format=raw,unit=1,file={run_dir / 'OVMF_VARS.fd'}"]
    if guest.icount:
        result += ["-icount", ICOUNT]
    result += _streams(guest, run_dir)
    if guest.script:
        result += ["-fw_cfg", f"name={SCRIPT_KEY},file={run_dir / 'script'}"]
    if guest.stm_image is not None:
        result += ["-fw_cfg", f"name={STM_IMAGE_KEY},file={run_dir / STM_IMAGE_FILE}"]
    if guest.trace:
        result += ["-D", str(run_dir / "machine.log")]
        for pattern in guest.trace:
            result += ["-trace", pattern]
    return [*result, *guest.extra]
