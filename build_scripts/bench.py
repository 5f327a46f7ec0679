# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``bench``: what VMX costs, used and unused.

The images and the code that measures belong to the tests and live in the
checkout only; they are imported when they are needed.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_scripts import conformance, paths, processors
from build_scripts.errors import ExitCode, LabError
from build_scripts.firmware_build import Firmware, build_firmware
from build_scripts.progress import say, step
from build_scripts.qemu_unpatched import unpatched_qemu

if TYPE_CHECKING:
    from tests.benchmarks.guests import Effort

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


def measure(ours: Path, unpatched: Path, firmware: Firmware, effort: Effort, folder: Path) -> dict[str, Any]:
    """All benchmarks; the facts as JSON has them.

    Raises:
        LabError: something did not run as it should; no number is then worth anything.
    """
    from tests.benchmarks import firmware as boots
    from tests.benchmarks import guests

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


def bench(json_file: Path | None, page: Path | None, quick: bool) -> int:
    """Measure, print the tables, and write what was asked for.

    Args:
        quick: a little of everything; shows that it works, its numbers mean nothing.
    Raises:
        LabError: a build or a measurement failed, or a file cannot be written.
    """
    conformance.need_images()
    from tests.benchmarks import guests, page_text

    folder = paths.new_run_dir("bench")
    effort = guests.QUICK if quick else guests.FULL
    facts = measure(conformance.find_machine(), unpatched_qemu(), build_firmware(), effort, folder)
    print(page_text.generated(facts))
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise LabError(f"{json_file}: {error.strerror}", ExitCode.USAGE) from error
    if page is not None:
        page_text.update(page, facts)
    say(f"logs: {folder}")
    return ExitCode.OK
