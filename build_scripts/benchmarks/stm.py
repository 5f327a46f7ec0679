# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the STM costs, in exact counts: transitions, instructions, VMREADs and VMWRITEs of a plain SMI, bytes of MSEG.

An image without firmware (tests/machine/stm/cost.c) loads the real STM, has it protect so many ranges and raises SMIs
whose handler does nothing but RSM. Two runs: one with instructions counted, one in which the machine tells of each
execution of the STM's VMREAD and VMWRITE instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.conformance.image_build import BuildError, build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors
from build_scripts.observation.events import Transition, parse_trace
from build_scripts.observation.report import Smi, group_smis
from build_scripts.progress import step
from build_scripts.stm_image import inspect_image, layout
from build_scripts.stm_image.budget import budget
from build_scripts.stm_image.loaded import loaded_digest

HERE = paths.CHECKOUT / "tests" / "machine" / "stm"
SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "cost.c"))
MSEG_BASE = 0x3E0_0000
RANGES = (0, 16, 256)
PROCESSORS = (1, 8, 64)
SCHEMA_VERSION = 1
TIMEOUT_SECONDS = 120.0
# The first SMI after a change of what is protected flushes the EPT.
_SETTLED = slice(1, None)
_VMREAD, _VMWRITE = 0x78, 0x79
_EXECUTED = re.compile(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/")
# A block that was told of, but has not begun: the machine had to look at its timers first, and tells of it again.
_STOPPED = re.compile(r"^Stopped execution of TB chain before \S+ \[([0-9a-f]+)\]")


def places(data: bytes) -> dict[int, int]:
    """Where instructions with the opcodes of VMREAD and VMWRITE (0FH 78H, 0FH 79H) may be, by offset in the image.

    Returns:
        Offset of the first byte, REX prefix included, to the second byte of the opcode. What only looks like one is
        never executed.
    """
    found = {}
    for match in re.finditer(rb"[\x40-\x4f]?\x0f([\x78\x79])", data):
        found[match.start()] = match[1][0]
        if data[match.start()] != 0x0F:
            found[match.start() + 1] = match[1][0]
    return {offset: opcode for offset, opcode in found.items() if offset >= layout.IMAGE_OFFSET}


def defines_of(mseg: Path) -> tuple[str, ...]:
    """What tells an image's loader where the STM is, and what its digest must be."""
    digest = loaded_digest(mseg.read_bytes())
    return f'MSEG_FILE="{mseg}"', "MSEG_DIGEST=" + ",".join(map(str, digest))


def run_counted(
    machine: Path,
    image: tuple[tuple[str, ...], tuple[str, ...]],
    work: Path,
    *extra: str,
    timeout: float = TIMEOUT_SECONDS,
) -> str:
    """What the machine has written to its log while it counted instructions.

    Args:
        image: sources and defines.
        extra: QEMU's arguments.
    Raises:
        LabError: the image could not be built, or has failed.
    """
    work.mkdir(parents=True)
    try:
        rom = build_image(*image).rom
    except BuildError as error:
        (work / "build.log").write_text(str(error), encoding="utf-8")
        raise LabError("the image of the STM's costs could not be built", log=work / "build.log") from error
    log = work / "machine.log"
    options = ("-trace", "vmx_*", "-D", str(log), "-icount", "shift=5,sleep=off", *extra)
    outcome = run_image(machine, rom, work, processors.DUAL_MONITOR_CPU, options, timeout)
    if problems := outcome.problems(False):
        raise LabError("\n  ".join(["the STM's costs:", *problems]), ExitCode.EXPECTATION_FAILED, log=work)
    return log.read_text(encoding="ascii")


def _run(machine: Path, mseg: Path, ranges: int, work: Path, *extra: str) -> str:
    return run_counted(machine, (SOURCES, (*defines_of(mseg), f"RANGES={ranges}")), work, *extra)


def _accesses(lines: list[str], opcodes: dict[int, int]) -> Iterator[tuple[int, int]]:
    """VMREADs and VMWRITEs of each SMI: from its SMM VM exit to its return."""
    count: dict[int, int] | None = None
    for line in lines:
        if found := _EXECUTED.match(line) or _STOPPED.match(line):
            opcode = opcodes.get(int(found[1], 16) - MSEG_BASE)
            if count is not None and opcode is not None:
                count[opcode] += 1 if line.startswith("Trace") else -1
        elif line.startswith("vmx_transition"):
            if " kind=smm-exit " in line:
                # I/O SMI: the calls of the executive monitor are SMM VM exits, too.
                count = {_VMREAD: 0, _VMWRITE: 0} if re.search(r" reason=0x2000000[56] ", line) else None
            elif " kind=smm-return " in line and count is not None:
                yield count[_VMREAD], count[_VMWRITE]
                count = None


def _same(what: str, values: list[Any]) -> Any:
    """The one value of several SMIs that do the same.

    Raises:
        LabError: there is none, or they differ.
    """
    if len(set(values)) != 1:
        raise LabError(f"plain SMIs differ in {what}: {values}", ExitCode.EXPECTATION_FAILED)
    return values[0]


def smi(machine: Path, mseg: Path, ranges: int, folder: Path) -> dict[str, int]:
    """The costs of a plain SMI while so many ranges are protected.

    Raises:
        LabError: the image failed, or its SMIs are not alike.
    """
    log = _run(machine, mseg, ranges, folder / f"counted-{ranges}")
    events = [event for event in parse_trace(log) if isinstance(event, Transition)]
    smis: list[Smi] = [one for one in group_smis(events) if one.dual_monitor][_SETTLED]
    opcodes = places(mseg.read_bytes())
    # Of a block of one instruction the machine tells where it begins.
    single = ("-accel", "tcg,thread=single,one-insn-per-tb=on", "-d", "exec,nochain")
    windows = ",".join(f"{MSEG_BASE + offset:#x}+1" for offset in opcodes)
    log = _run(machine, mseg, ranges, folder / f"traced-{ranges}", *single, "-dfilter", windows)
    reads, writes = _same("VMREADs and VMWRITEs", list(_accesses(log.splitlines(), opcodes))[_SETTLED])
    counts = [one.instructions for one in smis]
    return {
        "protected": ranges,
        "transitions": _same("transitions", [one.transitions for one in smis]),
        "instructions": _same("instructions", [count.stm if count else None for count in counts]),
        "vmreads": reads,
        "vmwrites": writes,
    }


def mseg_bytes(data: bytes) -> list[dict[str, int]]:
    """Bytes of MSEG that an image needs, by number of processors."""
    software = inspect_image(data).software
    return [{"processors": count, "bytes": layout.needed_size(software, count)} for count in PROCESSORS]


def parts(data: bytes) -> list[dict[str, Any]]:
    """What the bytes of MSEG are for.

    Raises:
        LabError: the image has no header of ours.
    """
    report = inspect_image(data)
    if report.lab is None:
        raise LabError("the STM image has no lab header")
    return [{"part": part.name, "bytes": part.size, "per": part.per} for part in budget(report.software, report.lab)]


def measure(machine: Path, mseg: Path, folder: Path) -> dict[str, Any]:
    """All counts; the facts as JSON has them.

    Raises:
        LabError: something did not run as it should.
    """
    data = mseg.read_bytes()
    with step("counting what the STM does in an SMI"):
        rows = [smi(machine, mseg, ranges, folder) for ranges in RANGES]
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": f"QEMU {processors.version(machine)} with VMX",
        "image_bytes": len(data),
        "smi": rows,
        "mseg": mseg_bytes(data),
        "parts": parts(data),
    }
