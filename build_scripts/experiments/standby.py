# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``standby``: who is there after a wake, without a VMM and under one that does this or that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from build_scripts.experiments.experiment import Expectation, Request, Value
from build_scripts.experiments.shell_experiment import (
    Booted,
    Course,
    ShellExperiment,
    ShellSeen,
    boots_and_rows,
    script_expectations,
    tell_boots,
)
from build_scripts.experiments.standby_table import Morning, after_the_wake
from build_scripts.machine.machine import HALTED, REGISTERS_FILE
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.report import Report

# The page below 1 MB of the waking routine, which the third variant gives the guest elsewhere.
VECTOR = 0x9C000
VALID = 1
_LOOK = ("Standby.efi report", "SmiTool.efi demo")
_NIGHT = (f"Standby.efi s3 -vector {VECTOR:x}", *_LOOK)
# How often the variant that comes back sleeps.
NIGHTS = 3
_REGISTERS = re.compile(r"^[ER]IP=([0-9a-f]+).*?^CS =[0-9a-f]{4} ([0-9a-f]+)", re.MULTILINE | re.DOTALL)

_WHY = """\
S3 ends with a reset of every processor: VMX operation, the VMCS that was current, and the STM's hold on SMIs \
are gone, whether a VMM knew of it or not. Memory is kept. The firmware runs first, natively, and jumps in \
real mode to the waking vector that it finds in the FACS: at its physical address, for EPT is gone too. SMM's \
part in that is to verify MSEG and to write MSR 9BH again."""


@dataclass(frozen=True)
class Variant:
    """One way to sleep.

    Attributes:
        name: in the table and in JSON.
        start: the executive monitor's options; None without one.
        wakes: whether the guest comes back.
        leaves: whether the executive monitor says goodbye first.
        returns: whether it is there again before the guest.
    """

    name: str
    start: str | None
    wakes: bool = True
    leaves: bool = False
    returns: bool = False

    @property
    def course(self) -> Course:
        """Its boot."""
        start = () if self.start is None else (f"ExecMon.efi start {self.start}".rstrip(),)
        script = (*_LOOK, *(_NIGHT * NIGHTS if self.returns else _NIGHT), "reset -s")
        return Course(Configuration.DUAL_MONITOR, (*start, *script), dies_at_wake=not self.wakes)


VARIANTS = (
    Variant("no VMM", None),
    Variant("ignores", "-ignore-sleep"),
    Variant("ignores, vector's page elsewhere", f"-ignore-sleep -remap {VECTOR:x}", wakes=False),
    Variant("leaves", "", leaves=True),
    Variant("returns", "-return", leaves=True, returns=True),
)


@dataclass(frozen=True)
class Row:
    """What one variant showed; None is what was never seen.

    Attributes:
        woken: how often the guest was alive after a wake.
        monitor: the answers to a VMCALL, before and after.
        served: who served SMIs, before and after.
        control: MSR 9BH of each processor after the first wake, as far as the guest may read it.
        status: what the status table says after the first wake.
        left: the executive monitor left VMX operation before the sleep.
        halted: where the processor halted for good.
    """

    variant: Variant
    woken: int
    monitor: tuple[str | None, str | None]
    served: tuple[str | None, str | None]
    control: tuple[int, ...]
    status: str | None
    left: bool
    halted: int | None

    @property
    def first_break(self) -> str | None:
        """The first thing that a user, or his VMM, finds broken."""
        if self.halted is not None:
            return f"the waking vector: the firmware finds HLT at {self.halted:#x}"
        if not self.woken:
            return None
        if self.monitor == ("present", "#UD"):
            return "nothing; the VMM is not there" if self.left else "the next hypercall: #UD; the VMM believes it runs"
        return "nothing" if self.monitor in (("#UD", "#UD"), ("present", "present")) else None

    @property
    def morning(self) -> Morning:
        """What the table shows of it."""
        present = self.monitor[1] == "present"
        return Morning(self.variant.name, self.woken > 0, present, self.served[1], self.first_break)

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``standby-row``."""
        return {
            "variant": self.variant.name,
            "os_alive": self.woken > 0,
            "monitor": {"before": self.monitor[0], "after": self.monitor[1]},
            "served_by": {"before": self.served[0], "after": self.served[1]},
            "smm_monitor_ctl": list(self.control),
            "status": self.status,
            "first_break": self.first_break,
        }


class Standby(ShellExperiment):
    """Sleep in S3 and wake, in each variant, with SMIs and questions before and after."""

    name = "standby"
    title = "sleep and wake: without a VMM, and with one that does this or that"
    page = "tutorial/standby"

    def courses(self, request: Request) -> tuple[Course, ...]:
        """A boot for each variant."""
        return tuple(variant.course for variant in VARIANTS)

    def story(self, seen: ShellSeen, out: Console) -> None:
        """The commands and what came of them, then the table and the reason."""
        tell_boots(seen, _heading, out)
        if found := rows(seen):
            out.print(after_the_wake(row.morning for row in found))
            show.tell(out, _WHY)

    def expectations(self, seen: ShellSeen) -> list[Expectation]:
        """For each variant what a user sees afterwards."""
        found = script_expectations(seen)
        if seen.request.script is not None:
            return found
        by_name = {row.variant.name: row for row in rows(seen)}
        for variant in VARIANTS:
            found += _expectations(variant, by_name.get(variant.name), self.processors_of(seen.request))
        return found

    def facts(self, seen: ShellSeen) -> dict[str, Any]:
        """Each boot in the form of first-light, and the table."""
        return boots_and_rows(seen, rows(seen))


def _heading(booted: Booted) -> str:
    variant = next((variant for variant in VARIANTS if variant.course == booted.course), None)
    return f"variant: {variant.name}" if variant is not None else "own script:"


def rows(seen: ShellSeen) -> list[Row]:
    """The table: a row for each variant that was booted."""
    if seen.request.script is not None:
        return []
    return [_row(variant, booted) for variant, booted in zip(VARIANTS, seen.boots, strict=False)]


def _served(report: Report, begin: int, end: int) -> str | None:
    found = {"stm" if smi.dual_monitor else "handler" for _cause, smi in report.smis if begin < smi.t < end}
    return "+".join(sorted(found)) if found else None


def _row(variant: Variant, booted: Booted) -> Row:
    stream, report = booted.stream, booted.report()
    asleep = stream.first("APP", "sleep-begin")
    wakes = [record for record in stream.of("APP", "sleep-end") if record.text("result") == "woken"]
    dusk = asleep.t if asleep is not None else 0
    dawn = wakes[0].t if wakes else None
    end = max((record.t for record in stream.records), default=0) + 1
    answers = stream.of("APP", "monitor")
    before = [record.text("answer") for record in answers if record.t < dusk]
    # Each look after each wake must give the same.
    after = {record.text("answer") for record in answers if dawn is not None and record.t > dawn}
    status = {
        f"{record.text('state')}, {record.text('reason')}"
        for record in stream.of("APP", "stm-status")
        if dawn is not None and record.t > dawn
    }
    return Row(
        variant=variant,
        woken=len(wakes) if after else 0,
        monitor=(before[0] if before else None, "+".join(sorted(after)) or None),
        served=(_served(report, 0, dusk), None if dawn is None else _served(report, dawn, end)),
        control=tuple(
            record.number("value")
            for record in stream.of("APP", "smm-monitor-ctl")
            if dawn is not None and record.t > dawn and record.fields.get("value") != "-"
        ),
        status="+".join(sorted(status)) or None,
        left=any(record.text("event") == "sleep" for record in stream.of("EXEC", "power")),
        halted=_halted(booted),
    )


def _halted(booted: Booted) -> int | None:
    path = booted.result.run_dir / REGISTERS_FILE
    if booted.result.ending.reason != HALTED or not path.is_file():
        return None
    found = _REGISTERS.search(path.read_text(encoding="utf-8"))
    # Behind the HLT that was executed.
    return None if found is None else int(found[1], 16) + int(found[2], 16) - 1


def _expectations(variant: Variant, row: Row | None, processors: int) -> list[Expectation]:
    """What one variant must show; of a variant that never was, nothing is seen."""
    name = variant.name
    under = variant.start is not None

    def one(what: str, expected: Value, value: Value) -> Expectation:
        return Expectation.equal(f"{name}: {what}", expected, value if row is not None else None)

    before = row.monitor[0] if row is not None else None
    found = [
        one("a VMCALL before the sleep", "present" if under else "#UD", before),
        one("who serves SMIs before", "stm" if under else "handler", row.served[0] if row is not None else None),
    ]
    if row is not None and before is not None:
        found.append(one("the VMM leaves before the sleep", variant.leaves, row.left))
    else:
        found.append(one("the VMM leaves before the sleep", variant.leaves, None))
    if not variant.wakes:
        halted = hex(row.halted) if row is not None and row.halted is not None else None
        found.append(one("where the processor halts for good", hex(VECTOR), halted))
        return found
    found += [
        one("wakes after which the guest is alive", NIGHTS if variant.returns else 1, row.woken if row else None),
        one("a VMCALL after the wake", "present" if variant.returns else "#UD", row.monitor[1] if row else None),
        one("who serves SMIs after", "stm" if variant.returns else "handler", row.served[1] if row else None),
        one("the firmware's status after", "enabled, none", row.status if row else None),
    ]
    if variant.returns:
        # As a guest again it sees no MSR 9BH; that the STM was started shows that it is there.
        return found
    control = sorted({hex(value & VALID) for value in row.control}) if row is not None and row.control else None
    answering = len(row.control) if row is not None and row.control else None
    return [
        *found,
        one("processors whose MSR 9BH could be read after", processors, answering),
        one("the valid bit of MSR 9BH after", [hex(VALID)], control),
    ]
