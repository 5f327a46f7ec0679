# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``resources``: what SMI handlers touch, against what the firmware says that they need."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from build_scripts.experiments.experiment import Expectation, Request
from build_scripts.experiments.shell_experiment import (
    Course,
    ShellExperiment,
    ShellSeen,
    script_expectations,
    tell_boots,
)
from build_scripts.machine.processors import TSEG_MEGABYTES, Configuration
from build_scripts.observation import resources, show
from build_scripts.observation.report import group_smis
from build_scripts.observation.resources import IO, MSR, PAGE, SPACES, Comparison, Resource
from build_scripts.tables import compact_table

PORT_SMIS = 3
IPIS = 2
VARIABLES = 4
# A variable is written, read and deleted, one SMI or more each time.
LEAST_SMIS = PORT_SMIS + IPIS + 3 * VARIABLES
SCRIPT = (
    "ExecMon.efi start",
    "ExecMon.efi resources",
    f"SmiTool.efi b2 {PORT_SMIS}",
    f"SmiTool.efi variable {VARIABLES}",
    f"SmiTool.efi ipi {IPIS}",
    "ExecMon.efi stop",
    "reset -s",
)
# What launchers in the field have the STM protect.
LAUNCHERS = (
    *(Resource(MSR, index, 1, "rw") for index in (0x9B, 0x1A0, 0x176, 0x3A)),
    Resource(IO, 0x60, 5, "rw"),
)

_HOW = """\
Touched is what the machine saw the SMI handlers access while they ran as the STM's guest: every port, every MSR, and \
memory by the page, TSEG left out. An entry without use is not wrong. A learning run shows what its SMIs needed, not \
what another one may need: an error path, a full variable store, a protection exception."""


class Resources(ShellExperiment):
    """Raise SMIs under the STM, see what their handlers touch, and compare it with the firmware's list."""

    name = "resources"
    title = "what SMI handlers touch, against what the firmware declares"
    page = "tutorial/resources"

    def courses(self, request: Request) -> tuple[Course, ...]:
        """One learning run under the STM."""
        return (Course(Configuration.DUAL_MONITOR, SCRIPT, observed=True),)

    def story(self, seen: ShellSeen, out: Console) -> None:
        """The commands, then the list with its use, what is missing in it, and the shortest that suffices."""
        tell_boots(seen, lambda booted: "a learning run:", out)
        found = comparison(seen)
        if not found.declared and not found.touched:
            return
        out.print(_declared_table(found))
        if found.undeclared:
            out.print(_list_table("Touched, but not declared", found.undeclared))
        out.print(_list_table("The shortest list that suffices", found.proposed))
        for resource in found.unused:
            show.tell(out, f"without use: {resource.name}")
        show.tell(out, _HOW)

    def expectations(self, seen: ShellSeen) -> list[Expectation]:
        """The handlers were seen, and touched nothing that is not declared."""
        found = script_expectations(seen)
        if seen.request.script is not None:
            return found
        compared = comparison(seen)
        smis = [smi for booted in seen.boots for smi in group_smis(booted.stream.transitions) if smi.dual_monitor]
        claims = [use.resource for use in compared.declared]
        return [
            *found,
            Expectation.at_least("SMIs under the STM", LEAST_SMIS, len(smis) or None),
            Expectation.at_least("entries of the firmware's list", 1, len(claims) or None),
            Expectation.at_least("places that handlers touched outside SMRAM", 1, len(compared.touched) or None),
            Expectation.nothing_wrong(
                "handlers touch what is declared, nothing else",
                [resource.name for resource in compared.undeclared],
                len(compared.touched),
            ),
            Expectation.nothing_wrong(
                "what launchers protect is not declared",
                [f"{mine.name}: {theirs.name}" for mine in claims for theirs in LAUNCHERS if _meet(mine, theirs)],
                len(claims),
            ),
        ]

    def facts(self, seen: ShellSeen) -> dict[str, Any]:
        """Each boot in the form of first-light, and the comparison."""
        found = comparison(seen)
        return {
            "boots": [booted.report().as_json() for booted in seen.boots],
            "declared": [use.as_json() for use in found.declared],
            "undeclared": [resource.as_json() for resource in found.undeclared],
            "proposed": [resource.as_json() for resource in found.proposed],
            "unused": [resource.as_json() for resource in found.unused],
        }


def smram(seen: ShellSeen) -> range:
    """TSEG, of which MSEG is the end; empty if the firmware said nothing of it."""
    for booted in seen.boots:
        status = booted.stream.first("FW", "status")
        if status is not None and status.number("mseg_size") > 0:
            end = status.number("mseg_base") + status.number("mseg_size")
            return range(end - (TSEG_MEGABYTES << 20), end)
    return range(0)


def comparison(seen: ShellSeen) -> Comparison:
    """Declared against touched, of all boots."""
    outside = smram(seen)
    claims = [claim for booted in seen.boots for claim in resources.declared(booted.stream)]
    touches = [touch for booted in seen.boots for touch in resources.touched(booted.stream, outside)]
    return resources.compare(claims, touches)


def _meet(one: Resource, other: Resource) -> bool:
    """Whether the first claims what the second names: in the same space, whatever the type of the descriptor."""
    if one.type == "all":
        return True
    same = SPACES.get(one.type, one.type) == SPACES.get(other.type, other.type)
    return same and one.base < other.end and other.base < one.end


def _places(resource: Resource) -> int:
    return -(-resource.length // PAGE) if resource.type in ("memory", "mmio") else resource.length


def _declared_table(found: Comparison) -> Table:
    table = compact_table(
        "What the firmware declares, and its use",
        words=("Type", "First", "Last", "Declared", "Seen"),
        numbers=("Touched", "Of"),
    )
    for use in found.declared:
        one = use.resource
        last = f"{one.end - 1:#x}" if one.length > 1 else ""
        table.add_row(
            one.type, f"{one.base:#x}", last, one.access, use.access or "none", f"{use.places:,}", f"{_places(one):,}"
        )
    table.caption = "Touched, of: pages of memory, ports, MSRs"
    table.caption_justify = "left"
    return table


def _list_table(title: str, listed: tuple[Resource, ...]) -> Table:
    table = compact_table(title, words=("Type", "First", "Last", "Access"), numbers=())
    for one in listed:
        table.add_row(one.type, f"{one.base:#x}", f"{one.end - 1:#x}" if one.length > 1 else "", one.access)
    return table
