# SPDX-License-Identifier: BSD-2-Clause-Patent
"""All benchmarks of one run, and the facts that they give."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from build_scripts.benchmarks import firmware as boots
from build_scripts.benchmarks import guests
from build_scripts.builds.firmware_build import Firmware
from build_scripts.machine import processors
from build_scripts.progress import step

_CPUINFO = Path("/proc/cpuinfo")


def host() -> dict[str, Any]:
    """The computer that measures."""
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "processors": os.cpu_count() or 1,
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 1),
    }


def measure(ours: Path, unpatched: Path, firmware: Firmware, effort: guests.Effort, folder: Path) -> dict[str, Any]:
    """All benchmarks; the facts as JSON has them.

    Raises:
        LabError: something did not run as it should; no number is then worth anything.
    """
    facts: dict[str, Any] = {
        "schema_version": 1,
        "host": host(),
        "machine": f"QEMU {processors.version(ours)} with VMX",
        "unpatched": f"QEMU {processors.version(unpatched)}",
    }
    with step("booting the firmware on both machines"):
        facts["firmware"] = boots.boots(ours, unpatched, firmware, effort.boots, folder)
    with step("computing inside and outside a guest"):
        facts["compute"] = guests.compute(ours, effort, folder)
    with step("round trips between guest and host"):
        facts["round_trips"] = guests.round_trips(ours, effort, folder)
    return facts
