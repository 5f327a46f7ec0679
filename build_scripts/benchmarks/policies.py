# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the STM's optional policies cost on several processors: instructions of the STM, counted on each of them.

An image without firmware (tests/machine/stm/many_policies.c) starts the STM on all processors. SMIs come to all of
them, as the chipset raises them, and then to one alone; of one processor the handler reads or writes memory outside
SMRAM. The machine tells of each instruction that is executed in the STM, and of the transitions between which that is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts.benchmarks.stm import HERE, MSEG_BASE, TIMEOUT_SECONDS, defines_of, run_counted
from build_scripts.stm_image import layout

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "many.c", "many_changes.c", "many_policies.c", "many.asm"))
PROCESSORS = (1, 2, 4, 8, 16)
# Of many.h and many_policies.c.
_SCENE, _SMIS = 14, 6
# Instructions have their time: 32 ns, of which the rendezvous waits for some milliseconds at the most.
_LIMIT = 1_000_000_000
_PAGES = 64
# The first SMI after START flushes the EPT.
_SETTLED = slice(1, _SMIS)
_EXECUTED = re.compile(r"^Trace (\d+): \S+ \[[0-9a-f]+/[0-9a-f]+/")
_TRANSITION = re.compile(r"^vmx_transition cpu=(\d+) .* kind=(\S+) .* reason=(\S+) ")


@dataclass(frozen=True)
class Policy:
    """One setting.

    Attributes:
        name: in JSON.
        defines: of the image.
    """

    name: str
    defines: tuple[str, ...]


POLICIES = (
    Policy("none", ()),
    Policy("rendezvous", (f"RENDEZVOUS={_LIMIT}",)),
    # The handler always reads what it shall touch, on a page outside SMRAM.
    Policy("snapshot-read", (f"SNAPSHOT={_PAGES}",)),
    Policy("snapshot-read-2", (f"SNAPSHOT={_PAGES}", "READS=1", "WRITES=0")),
    Policy("snapshot-read-write", (f"SNAPSHOT={_PAGES}", "READS=0", "WRITES=1")),
)


def smis(lines: list[str]) -> Iterator[tuple[int, int, int]]:
    """Each SMI that the STM serves: processor, the STM's instructions on it, VMX transitions."""
    running: dict[int, Counter[str]] = {}
    for line in lines:
        if found := _EXECUTED.match(line):
            if (counts := running.get(int(found[1]))) is not None:
                counts["instructions"] += 1
        elif found := _TRANSITION.match(line):
            cpu, kind = int(found[1]), found[2]
            if kind == "smm-exit":
                # The calls of the executive monitor are SMM VM exits, too.
                running.pop(cpu, None)
                if int(found[3], 16) & 0xFFFF in (5, 6):
                    running[cpu] = Counter(transitions=1)
            elif cpu in running:
                running[cpu]["transitions"] += 1
                if kind == "smm-return":
                    counts = running.pop(cpu)
                    yield cpu, counts["instructions"], counts["transitions"]


def row(machine: Path, mseg: Path, processors: int, policy: Policy, folder: Path) -> dict[str, Any]:
    """The costs on so many processors.

    Returns:
        ``processors``, ``policy``; ``all`` and ``one`` for SMIs of all processors and of one alone: ``processors``
        that took it, ``instructions`` of the STM on all of them, ``transitions`` of the first; a mean of several.
    """
    numbers = (f"SCENE={_SCENE}", f"PROCESSORS={processors}", f"ANNOUNCED={processors}", "ROUNDS=1")
    text = MSEG_BASE + layout.IMAGE_OFFSET, len(mseg.read_bytes()) - layout.IMAGE_OFFSET
    log = run_counted(
        machine,
        (SOURCES, (*defines_of(mseg), *numbers, *policy.defines)),
        folder / f"{policy.name}-{processors}",
        *("-smp", str(processors)),
        *(
            "-accel",
            "tcg,thread=single,one-insn-per-tb=on",
            "-d",
            "exec,nochain",
            "-dfilter",
            f"{text[0]:#x}+{text[1]:#x}",
        ),
        timeout=TIMEOUT_SECONDS * 3,
    )
    by_processor: dict[int, list[tuple[int, int]]] = {cpu: [] for cpu in range(processors)}
    for cpu, instructions, transitions in smis(log.splitlines()):
        by_processor[cpu].append((instructions, transitions))
    return {
        "processors": processors,
        "policy": policy.name,
        "all": _mean([own[_SETTLED] for own in by_processor.values()]),
        "one": _mean([own[_SMIS:] for own in by_processor.values()]),
    }


def _mean(by_processor: list[list[tuple[int, int]]]) -> dict[str, int]:
    taking = [own for own in by_processor if own]
    count = len(taking[0])
    return {
        "processors": len(taking),
        "instructions": round(sum(instructions for own in taking for instructions, _ in own) / count),
        "transitions": round(sum(transitions for _, transitions in taking[0]) / count),
    }


def measure(machine: Path, mseg: Path, folder: Path) -> list[dict[str, Any]]:
    """All rows.

    Raises:
        LabError: an image failed.
    """
    return [row(machine, mseg, processors, policy, folder) for policy in POLICIES for processors in PROCESSORS]
