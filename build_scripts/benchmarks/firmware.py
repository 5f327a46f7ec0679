# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the machine costs whoever does not use VMX: boots of the firmware on ours and on unpatched QEMU."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts.benchmarks.samples import spread
from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors
from build_scripts.machine.machine import boot
from build_scripts.machine.processors import Guest
from build_scripts.observation import outcome
from build_scripts.observation.events import read_stream

# The Shell's first command: the end of every boot is the power-off that the guest asks for.
SCRIPT = ("reset -s",)
# The host's date must not decide what the firmware does.
CLOCK = ("-rtc", "base=2026-01-01T00:00:00,clock=vm")
ICOUNT_SHIFT = int(processors.ICOUNT.removeprefix("shift=").split(",")[0])


@dataclass(frozen=True)
class Boot:
    """One boot: processor time and wall-clock time of QEMU, and the time stamp of the last record."""

    cpu: float
    wall: float
    stamp: int


def boot_once(qemu: Path, firmware: Firmware, run_dir: Path, icount: bool) -> Boot:
    """Boot to the Shell and off, on a processor without VMX.

    Raises:
        LabError: the guest did not power off.
    """
    guest = Guest(
        qemu=qemu,
        cpu=processors.BASE_CPU,
        code=firmware.code,
        variables=firmware.variables,
        script=SCRIPT,
        icount=icount,
        extra=CLOCK,
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ending = boot(guest, run_dir)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    stream = read_stream(run_dir)
    if (error := outcome.check_ending(stream, ending)) is not None:
        error.log = run_dir
        raise error
    stamps = [record.t for record in stream.of("APP", "script")]
    if not stamps:
        raise LabError("the Shell executed no command", ExitCode.EXPECTATION_FAILED, log=run_dir)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Boot(cpu, ending.seconds, stamps[-1])


def boots(ours: Path, unpatched: Path, firmware: Firmware, count: int, folder: Path) -> dict[str, Any]:
    """Boot both machines in turns; with and without instruction counting.

    Returns:
        For each machine times and instructions, and the ratios of the pairs, ours to unpatched.
    """
    facts: dict[str, Any] = {"cpu": processors.BASE_CPU}
    for icount in (False, True):
        pairs = []
        for index in range(count):
            pair = {}
            # Who is first changes, so that a load that grows or falls favours nobody.
            order = [("ours", ours), ("unpatched", unpatched)]
            for name, qemu in order if index % 2 else reversed(order):
                run_dir = folder / f"boot-{'icount' if icount else 'plain'}-{index}-{name}"
                pair[name] = boot_once(qemu, firmware, run_dir, icount)
            pairs.append(pair)
        found = {
            "pairs": count,
            **{f"{name}_seconds": spread(pair[name].cpu for pair in pairs).as_json() for name in ("ours", "unpatched")},
            "cpu_ratio": spread(pair["ours"].cpu / pair["unpatched"].cpu for pair in pairs).as_json(),
            "wall_ratio": spread(pair["ours"].wall / pair["unpatched"].wall for pair in pairs).as_json(),
        }
        if icount:
            for name in ("ours", "unpatched"):
                found[f"{name}_instructions"] = sorted({pair[name].stamp >> ICOUNT_SHIFT for pair in pairs})
        facts["icount" if icount else "plain"] = found
    return facts
