# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``plain-vmm``: where SMIs go under a VMM without an STM, and where with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from build_scripts.experiments.experiment import Expectation, Request
from build_scripts.experiments.shell_experiment import (
    Booted,
    Course,
    ShellExperiment,
    ShellSeen,
    boots_and_rows,
    script_expectations,
    tell_boots,
)
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.events import Kind, Mode, Transition
from build_scripts.observation.exits import ExitCounts, SmiExits, exit_counts
from build_scripts.observation.report import VMX_REASON_VMCALL, Window, windows
from build_scripts.tables import compact_table

PORT_SMIS = 5
IPIS = 5
VARIABLES = 2
# Each variable is written, read and deleted, one SMI or more each time.
LEAST_VARIABLE_SMIS = 3 * VARIABLES
# The processor that runs the Shell.
BOOT_PROCESSOR = 0

_RAISE = (
    "ExecMon.efi exits",
    f"SmiTool.efi b2 {PORT_SMIS}",
    "ExecMon.efi exits",
    f"SmiTool.efi variable {VARIABLES}",
    "ExecMon.efi exits",
    f"SmiTool.efi ipi {IPIS}",
    "ExecMon.efi exits",
)
_PLAIN = ("StmStatus.efi", "ExecMon.efi start -no-stm", *_RAISE, "ExecMon.efi stop")
_WITH_STM = ("ExecMon.efi start", *_RAISE, "ExecMon.efi stop")
_END = ("SmiTool.efi count", "reset -s")

_WHY = """\
Why the executive monitor sees none: the exit reasons 5 (I/O SMI) and 6 (other SMI) exist, but no VM-execution control \
makes an SMI exit to it. Under the default treatment the processor goes from the guest to the SMI handler and back \
by RSM, outside VMX operation, without a VM exit. Only the dual-monitor treatment makes SMIs exit, and these SMM VM \
exits go to the STM, not to the executive monitor, whose counters stay at 0 there too."""


@dataclass(frozen=True)
class Situation:
    """Under which monitors SMIs are raised."""

    configuration: Configuration
    stm: bool

    @property
    def words(self) -> str:
        """For tables and names of expectations."""
        if self.stm:
            return "VMM and STM"
        there = self.configuration is Configuration.DUAL_MONITOR
        return f"VMM alone, {'treatment unused' if there else 'no treatment'}"


SITUATIONS = (
    Situation(Configuration.NO_DUAL_MONITOR, stm=False),
    Situation(Configuration.DUAL_MONITOR, stm=False),
    Situation(Configuration.DUAL_MONITOR, stm=True),
)


@dataclass(frozen=True)
class Taken:
    """The SMIs that one processor took, by the machine's trace.

    Attributes:
        cpu: the processor.
        smm: SMM VM exits.
        default: SMIs under the default treatment.
        from_guest: how many of both interrupted the executive monitor's guest.
    """

    cpu: int
    smm: SmiExits
    default: int
    from_guest: int

    @classmethod
    def of(cls, cpu: int, events: list[Transition]) -> Taken:
        """Those among a processor's events."""
        smis = [event for event in events if event.kind is Kind.SMI or _is_smm_exit_for_smi(event)]
        return cls(
            cpu,
            smm=SmiExits.of(event.basic_reason for event in events if event.kind is Kind.SMM_EXIT),
            default=sum(event.kind is Kind.SMI for event in events),
            from_guest=sum(event.source is Mode.GUEST for event in smis),
        )

    @property
    def smis(self) -> int:
        """How many."""
        return self.smm.io_smi + self.smm.other_smi + self.default

    @property
    def served_by(self) -> str:
        """In the words of the schema."""
        stm, handler = self.smm.io_smi + self.smm.other_smi > 0, self.default > 0
        return {(True, True): "both", (True, False): "stm", (False, True): "handler"}.get((stm, handler), "nobody")

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``plain-vmm-other``."""
        return {"cpu": self.cpu, "smis": self.smis, "smm_exits": self.smm.as_json(), "served_by": self.served_by}


@dataclass(frozen=True)
class Row:
    """The SMIs of one cause in one situation.

    Attributes:
        cause: as SmiTool records it.
        counted: by MSR 34H of the processor that raised them.
        executive: exits that the executive monitor counted, on all processors.
        by_reason: the same by basic exit reason.
        taken: what the processor that raised them took.
        others: what the other processors took that were interrupted, too.
    """

    situation: Situation
    cause: str
    counted: int
    executive: SmiExits
    by_reason: dict[int, int]
    taken: Taken
    others: tuple[Taken, ...]

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``plain-vmm-row``."""
        return {
            "configuration": self.situation.configuration.value,
            "stm": self.situation.stm,
            "cause": self.cause,
            "counted": self.counted,
            "executive_exits": self.executive.as_json(),
            "executive_exits_by_reason": {str(reason): count for reason, count in self.by_reason.items()},
            "smm_exits": self.taken.smm.as_json(),
            "served_by": self.taken.served_by,
            "others": [taken.as_json() for taken in self.others],
        }


class PlainVmm(ShellExperiment):
    """Raise SMIs in three ways under the executive monitor alone, on two processors, and then under the STM."""

    name = "plain-vmm"
    title = "where SMIs go under a VMM without an STM: not to the VMM"
    page = "tutorial/plain-vmm"

    def courses(self, request: Request) -> tuple[Course, ...]:
        """A processor without the treatment; one with it, first without the STM."""
        return (
            Course(Configuration.NO_DUAL_MONITOR, (*_PLAIN, *_END)),
            Course(Configuration.DUAL_MONITOR, (*_PLAIN, *_WITH_STM, *_END)),
        )

    def story(self, seen: ShellSeen, out: Console) -> None:
        """The commands and what the monitors did, then the table and the reason."""
        tell_boots(seen, lambda booted: f"on a processor of the configuration {booted.configuration.value}:", out)
        if found := rows(seen):
            out.print(_table(found))
            show.tell(out, _WHY)

    def expectations(self, seen: ShellSeen) -> list[Expectation]:
        """For each situation: all SMIs counted, none of them an exit of the executive monitor, and who served them."""
        found = script_expectations(seen)
        if seen.request.script is not None:
            return found
        for situation in SITUATIONS:
            booted = seen.on(situation.configuration)
            mine = [row for row in rows(seen) if row.situation == situation]
            found += _expectations(situation, mine, booted)
        return found

    def facts(self, seen: ShellSeen) -> dict[str, Any]:
        """Each boot in the form of first-light, and the table."""
        return boots_and_rows(seen, rows(seen))


def rows(seen: ShellSeen) -> list[Row]:
    """The table: each stretch of SMIs that stands between two records of the executive monitor's exit counts."""
    return [row for booted in seen.boots for row in _rows(booted)]


def _rows(booted: Booted) -> list[Row]:
    counts = exit_counts(booted.stream)
    found = []
    for window in windows(booted.stream.records):
        before = [count for count in counts if count.t < window.begin]
        after = [count for count in counts if count.t > window.end]
        if before and after:
            found.append(_row(booted, window, before[-1], after[0]))
    return found


def _row(booted: Booted, window: Window, before: ExitCounts, after: ExitCounts) -> Row:
    by_cpu: dict[int, list[Transition]] = {BOOT_PROCESSOR: []}
    for event in booted.stream.transitions:
        if window.begin <= event.t <= window.end:
            by_cpu.setdefault(event.cpu, []).append(event)
    taken = [Taken.of(cpu, events) for cpu, events in sorted(by_cpu.items())]
    return Row(
        situation=Situation(booted.configuration, after.stm),
        cause=window.cause,
        counted=window.counted or 0,
        executive=after.smi_exits() - before.smi_exits(),
        by_reason=after.since(before),
        taken=next(one for one in taken if one.cpu == BOOT_PROCESSOR),
        others=tuple(one for one in taken if one.cpu != BOOT_PROCESSOR and one.smis > 0),
    )


def _is_smm_exit_for_smi(event: Transition) -> bool:
    return event.kind is Kind.SMM_EXIT and SmiExits.of([event.basic_reason]).other_reasons == 0


def _expectations(situation: Situation, mine: list[Row], booted: Booted | None) -> list[Expectation]:
    """What one situation must show; of a situation that never was, nothing is seen."""
    counted = {row.cause: row.counted for row in mine}
    total = sum(counted.values())
    executive = sum((row.executive for row in mine), SmiExits())
    smm = sum((row.taken.smm for row in mine), SmiExits())
    there = bool(mine)
    name = situation.words
    found = [
        Expectation.equal(f"{name}: SMIs by port B2H", PORT_SMIS, counted.get("port-b2")),
        Expectation.equal(f"{name}: SMIs by IPI", IPIS, counted.get("ipi")),
        Expectation.at_least(f"{name}: SMIs by variables", LEAST_VARIABLE_SMIS, counted.get("variable")),
        Expectation.equal(
            f"{name}: exits to the VMM for SMIs",
            0,
            executive.io_smi + executive.other_smi if there else None,
        ),
        _agreement(f"{name}: its other exits, as traced", situation, booted),
        Expectation.equal(
            f"{name}: SMIs that its guest met",
            max(total, 1),
            sum(row.taken.from_guest for row in mine) if there else None,
        ),
        Expectation.equal(
            f"{name}: served by",
            ["stm" if situation.stm else "handler"],
            sorted({row.taken.served_by for row in mine}) if there else None,
        ),
    ]
    if others := [taken for row in mine for taken in row.others]:
        found += [
            Expectation.equal(
                f"{name}: served by, on other processors",
                ["stm" if situation.stm else "handler"],
                sorted({taken.served_by for taken in others}),
            ),
            Expectation.equal(
                f"{name}: SMIs that guests on other processors met",
                sum(taken.smis for taken in others),
                sum(taken.from_guest for taken in others),
            ),
        ]
    if situation.stm:
        ports = counted.get("port-b2", 0) + counted.get("variable", 0)
        found += [
            Expectation.equal(f"{name}: exits to the STM, I/O SMI", max(ports, 1), smm.io_smi),
            Expectation.equal(f"{name}: exits to the STM, other SMI", IPIS, smm.other_smi),
        ]
    return found


def _agreement(name: str, situation: Situation, booted: Booted | None) -> Expectation:
    """The executive monitor's last counts against the machine's trace of the session until then.

    All but VMCALL, by which the counts are read.
    """
    counts = exit_counts(booted.stream) if booted is not None else []
    mine = [count for count in counts if count.stm == situation.stm]
    if booted is None or not mine:
        return Expectation.equal(name, "some", None)
    last = mine[-1]
    # Each processor has a launch of its own; what came before the session ended in VMXOFF on all of them.
    began = max((record.t for record in booted.stream.of("EXEC", "vmxoff") if record.t < last.t), default=0)
    traced = [
        event.basic_reason
        for event in booted.stream.transitions
        if event.kind is Kind.EXIT and began < event.t < last.t
    ]
    seen = last.total_but_vmcall()
    expected = sum(reason != VMX_REASON_VMCALL for reason in traced)
    return Expectation(name, expected, seen, expected == seen > 0)


def _table(found: list[Row]) -> Table:
    several = any(row.others for row in found)
    table = compact_table(
        "SMIs and who sees them",
        words=("Monitors", "SMIs by", "Served by"),
        numbers=(
            *(("CPU",) if several else ()),
            *("SMIs\n(34H)", "VMM\n5", "VMM\n6", "VMM\nother", "STM\n5", "STM\n6"),
        ),
    )
    last = None
    for row in found:
        first = row.situation != last
        last = row.situation
        table.add_row(
            row.situation.words if first else "",
            row.cause,
            row.taken.served_by,
            *((str(row.taken.cpu),) if several else ()),
            str(row.counted),
            *(str(number) for number in (row.executive.io_smi, row.executive.other_smi, row.executive.other_reasons)),
            *(str(number) for number in (row.taken.smm.io_smi, row.taken.smm.other_smi)),
        )
        for taken in row.others:
            smm = (str(number) for number in (taken.smm.io_smi, taken.smm.other_smi))
            table.add_row("", "", taken.served_by, str(taken.cpu), f"({taken.smis})", "", "", "", *smm)
    table.caption = "VMM, STM: VM exits to it by basic exit reason. 34H: MSR_SMI_COUNT"
    if several:
        table.caption += ", where in brackets by the machine's trace. VMM: on all processors"
    table.caption_justify = "left"
    return table
