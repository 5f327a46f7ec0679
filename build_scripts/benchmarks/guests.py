# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Builds and runs the images: a compute loop in guests, round trips, SMIs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.benchmarks.samples import Log, What, read_log, spread
from build_scripts.conformance.image_build import BuildError, build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors

IMAGES = paths.CHECKOUT / "tests" / "benchmarks" / "images"
SHARED = ("bench.c", "loops.asm")
# One instruction is one nanosecond, and the time-stamp counter counts nanoseconds.
COUNTED = ("-icount", "shift=0,sleep=off")
TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class Effort:
    """How much is measured: runs of the firmware, repeats in an image, rounds and steps of a repeat."""

    boots: int
    repeats: int
    rounds: int
    steps: int


FULL = Effort(boots=15, repeats=61, rounds=200, steps=500_000)
QUICK = Effort(boots=1, repeats=2, rounds=20, steps=20_000)


def run_benchmark(
    machine: Path, source: str, cpu: str, effort: Effort, folder: Path, *defines: str, counted: bool = False
) -> Log:
    """Build and run one image.

    Args:
        counted: ticks are instructions instead of time.
    Raises:
        LabError: the image cannot be built, or did not end as it should.
    """
    name = "-".join([Path(source).stem, *defines, "counted" if counted else "timed"])
    work = folder / name.replace("=", "")
    work.mkdir(parents=True)
    repeats = 1 if counted else effort.repeats
    sizes = (f"REPEATS={repeats}", f"ROUNDS={effort.rounds}", f"STEPS={effort.steps}")
    try:
        rom = build_image(tuple(str(IMAGES / name) for name in (source, *SHARED)), (*sizes, *defines)).rom
    except BuildError as error:
        (work / "build.log").write_text(str(error), encoding="utf-8")
        raise LabError(f"image {source} could not be built", log=work / "build.log") from error
    outcome = run_image(machine, rom, work, cpu, COUNTED if counted else (), TIMEOUT_SECONDS)
    if problems := outcome.problems(False):
        raise LabError("\n  ".join([f"{source}:", *problems]), ExitCode.EXPECTATION_FAILED, log=work)
    return read_log(outcome.log)


def compute(machine: Path, effort: Effort, folder: Path) -> list[dict[str, Any]]:
    """Speed of the loop in a guest, as part of its speed outside VMX operation; pairs measured one after the other."""
    log = run_benchmark(machine, "b_compute.c", processors.VMX_CPU, effort, folder)
    rows = []
    for what in log.whats():
        if what.name != "guest":
            continue
        native = log.of(What("native", what.ept, what.pages))
        ratios = [outside.ticks / inside.ticks for outside, inside in zip(native, log.of(what), strict=True)]
        rows.append({"ept": what.ept, "pages": what.pages, "speed": spread(ratios).as_json()})
    return rows


def round_trips(machine: Path, effort: Effort, folder: Path) -> list[dict[str, Any]]:
    """Host time and instructions of every kind of round trip, and of the same outside VMX operation."""
    runs = (
        ("b_round_trips.c", processors.VMX_CPU, ()),
        ("b_smi.c", processors.VMX_CPU, ("DUAL=0",)),
        ("b_smi.c", processors.DUAL_MONITOR_CPU, ("DUAL=1",)),
    )
    rows = []
    for source, cpu, defines in runs:
        timed = run_benchmark(machine, source, cpu, effort, folder, *defines)
        counted = run_benchmark(machine, source, cpu, effort, folder, *defines, counted=True)
        rows += [
            {
                "name": what.name,
                "ept": what.ept,
                "pages": what.pages,
                "instructions": counted.instructions(what),
                "nanoseconds": timed.nanoseconds(what).as_json(),
            }
            for what in timed.whats()
        ]
    return rows
