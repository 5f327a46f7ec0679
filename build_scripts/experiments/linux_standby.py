# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``linux-standby``: the distribution's kernel sleeps in S3, without a VMM and below one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.experiment import Expectation, Experiment, Request, Value, tell_command
from build_scripts.experiments.standby_table import Morning, after_the_wake
from build_scripts.linux import kernel
from build_scripts.linux.boot import Finding, LinuxRun
from build_scripts.linux.executive import TIMEOUT_SECONDS, LinuxGuest, boot_guest
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome, show
from build_scripts.observation.events import Stream, read_stream
from build_scripts.observation.report import group_smis
from build_scripts.progress import step

PROCESSORS = 2
# How often it sleeps with nobody in the way, and below the monitor that comes back.
NIGHTS = 3

# Later than any record.
NEVER = 1 << 64

_WHY = """\
Linux takes its other processors offline, writes its waking vector and the port, and after the wake starts \
them again by INIT and SIPI. It tells by itself only whether the processor shows VMX. Below a VMM it does \
not, and when it does after a wake, nobody is below any more."""


@dataclass(frozen=True)
class Variant:
    """One way to sleep.

    Attributes:
        name: in the table and in JSON.
        options: of the executive monitor's start; None without one.
        nights: how often.
        leaves: whether the executive monitor says goodbye first.
        returns: whether it is there again before the guest.
    """

    name: str
    options: str | None
    nights: int = 1
    leaves: bool = False
    returns: bool = False


VARIANTS = (
    Variant("no VMM", None, nights=NIGHTS),
    Variant("ignores", "-ignore-sleep"),
    Variant("leaves", "", leaves=True),
    Variant("returns", "-return", nights=NIGHTS, leaves=True, returns=True),
)


@dataclass(frozen=True)
class Slept:
    """What the boot of one variant left."""

    variant: Variant
    run: LinuxRun
    stream: Stream

    def days(self) -> list[list[Finding]]:
        """What process 1 found before the first sleep, and after each."""
        found: list[list[Finding]] = [[]]
        for finding in self.run.findings:
            if finding.name == "night":
                found.append([])
            found[-1].append(finding)
        return found

    def stretches(self) -> list[tuple[int, int]]:
        """From when to when Linux ran awake, before the first sleep and after each wake; the last has no end.

        The first begins when the executive monitor is there, or with the machine.
        """
        sleeps = [record.t for record in self.stream.of("APP", "linux-sleep")]
        wakes = [record.t for record in self.stream.of("APP", "linux-wake")]
        launches = [record.t for record in self.stream.of("EXEC", "launch") if sleeps and record.t < sleeps[0]]
        return list(zip([max(launches, default=0), *wakes], [*sleeps, NEVER], strict=False))


@dataclass(frozen=True)
class LinuxStandbySeen:
    """What the boots left; one that failed is the last.

    Attributes:
        request: what the user asked for.
        processors: of the machine.
        boots: in the order of `VARIANTS`.
    """

    request: Request
    processors: int
    boots: tuple[Slept, ...]


@dataclass(frozen=True)
class Row:
    """What one variant showed; None is what was never seen.

    Attributes:
        woken: after how many sleeps Linux looked around again.
        online: the fewest processors that it found then.
        variables: how many were written then, and what went wrong with them.
        vmx: whether the processors show VMX, before and after.
        served: who served SMIs, before and after.
        counted: after the wakes, the SMIs counted of those raised, the worst of all.
        left: the executive monitor left VMX operation before the sleep.
    """

    variant: Variant
    woken: int
    online: int | None
    variables: tuple[int, list[str]]
    vmx: tuple[bool | None, bool | None]
    served: tuple[str | None, str | None]
    counted: tuple[int, int] | None
    left: bool

    @property
    def monitor(self) -> bool:
        """Whether the VMM is below Linux after the wake."""
        return self.variant.options is not None and self.vmx[1] is False

    @property
    def first_break(self) -> str | None:
        """The first thing that a user, or his VMM, finds broken."""
        if not self.woken:
            return None
        if self.variables[1]:
            return f"a variable: {self.variables[1][0]}"
        if self.variant.options is not None and not self.monitor:
            return "nothing; the VMM is not there" if self.left else "VMX appears; the VMM believes it runs"
        return "nothing"

    @property
    def morning(self) -> Morning:
        """What the table shows of it."""
        return Morning(self.variant.name, self.woken > 0, self.monitor, self.served[1], self.first_break)

    def as_json(self) -> dict[str, Any]:
        """The schema's definition ``linux-standby-row``."""
        return {
            "variant": self.variant.name,
            "nights": self.woken,
            "online": self.online,
            "variables": self.variables[0],
            "vmx": {"before": self.vmx[0], "after": self.vmx[1]},
            "served_by": {"before": self.served[0], "after": self.served[1]},
            "first_break": self.first_break,
        }


class LinuxStandby(Experiment[LinuxStandbySeen]):
    """Boot Linux for each variant, let it sleep and look around, before and after."""

    name = "linux-standby"
    title = "the distribution's Linux sleeps: without a VMM and below one"
    page = "tutorial/standby"
    processors = PROCESSORS
    timeout = TIMEOUT_SECONDS
    takes = frozenset({"kernel", "kernel_args"})
    refuses: ClassVar[Mapping[str, str]] = {
        "script": "the experiment linux-standby has scripts of its own, which start the executive monitor and the "
        "kernel; standby runs yours"
    }

    def check(self, request: Request) -> None:
        """Nothing to refuse."""

    def boot(self, request: Request) -> LinuxStandbySeen:
        """Boot each variant with instructions counted, so that the logs can be compared, until one fails."""
        qemu, firmware = extended_qemu(), build_firmware()
        linux = kernel.locate(request.kernel or kernel.DEFAULT)
        boots: list[Slept] = []
        for variant in VARIANTS:
            guest = LinuxGuest(
                qemu,
                firmware,
                linux,
                processors=self.processors_of(request),
                monitor=variant.options is not None,
                options=variant.options or "",
                settings=("lab.sleep=deep", f"lab.nights={variant.nights}", *request.kernel_args),
                icount=True,
            )
            with step(f"booting Linux {linux.version} ({variant.name})"):
                run = boot_guest(guest, self.timeout_of(request))
            if request.verbose:
                tell_command(run.run_dir)
            boots.append(Slept(variant, run, read_stream(run.run_dir)))
            if _failure(boots[-1]) is not None:
                break
        return LinuxStandbySeen(request, self.processors_of(request), tuple(boots))

    def failure(self, seen: LinuxStandbySeen) -> LabError | None:
        """A crash, a panic, or an end that process 1 did not ask for, in the last boot."""
        return _failure(seen.boots[-1])

    def story(self, seen: LinuxStandbySeen, out: Console) -> None:
        """What became of each sleep, then the table and the reason."""
        for slept in seen.boots:
            for night in slept.run.named("night"):
                show.tell(out, f"Linux ({slept.variant.name}): {night}")
        out.print(after_the_wake(row.morning for row in rows(seen)))
        show.tell(out, _WHY)

    def expectations(self, seen: LinuxStandbySeen) -> list[Expectation]:
        """For each variant what a user sees afterwards."""
        by_name = {row.variant.name: row for row in rows(seen)}
        plain = seen.boots[0].run if seen.boots else None
        found = []
        for variant in VARIANTS:
            found += _expectations(variant, by_name.get(variant.name), seen.processors)
        for slept in seen.boots[1:]:
            new = _new_lines(slept.run, plain) if plain is not None else []
            name = f"{slept.variant.name}: the kernel's log is as without a VMM"
            found.append(Expectation.nothing_wrong(name, new, _lines(slept.run)))
        return found

    def facts(self, seen: LinuxStandbySeen) -> dict[str, Any]:
        """The kernel and the table."""
        boots = [boot for slept in seen.boots for boot in slept.run.named("boot")]
        return {
            "configuration": Configuration.DUAL_MONITOR.value,
            "kernel": boots[0].fields["kernel"] if boots else None,
            "rows": [row.as_json() for row in rows(seen)],
        }

    def closing(self, seen: LinuxStandbySeen, out: Console) -> None:
        """Where the logs are."""
        for slept in seen.boots:
            out.print(f"logs: {slept.run.run_dir}", soft_wrap=True)

    def logs(self, seen: LinuxStandbySeen) -> Path:
        """Those of the last boot: if one failed, it did."""
        return seen.boots[-1].run.run_dir

    def run_dirs(self, seen: LinuxStandbySeen) -> list[Path]:
        """Those of all boots."""
        return [slept.run.run_dir for slept in seen.boots]


def _failure(slept: Slept) -> LabError | None:
    crash = outcome.crash_record(slept.stream)
    if crash is not None:
        return LabError(f"a monitor crashed ({slept.variant.name}): {crash}", ExitCode.GUEST_CRASHED)
    return slept.run.failure(f" ({slept.variant.name})")


def rows(seen: LinuxStandbySeen) -> list[Row]:
    """The table: a row for each variant that was booted."""
    return [_row(slept) for slept in seen.boots]


def _row(slept: Slept) -> Row:
    evening, *mornings = slept.days()
    after = [finding for morning in mornings for finding in morning]
    awake = [m for m in mornings if m[0].fields["error"] == "0" and any(f.name == "variable" for f in m)]
    variables = [finding for finding in after if finding.name == "variable"]
    before, *later = slept.stretches()
    sleeping = (before[1], later[0][0]) if later else None
    return Row(
        variant=slept.variant,
        woken=len(awake),
        online=min((sum(_is_online(finding) for finding in morning) for morning in awake), default=None),
        variables=(len(variables), [str(finding) for finding in variables if not _is_good(finding)]),
        vmx=(_shows_vmx(evening), _shows_vmx(after)),
        served=(_served(slept, [before]), _served(slept, later)),
        counted=min((_counted(morning) for morning in awake), default=None),
        left=sleeping is not None
        and any(sleeping[0] < record.t < sleeping[1] for record in slept.stream.of("EXEC", "power")),
    )


def _is_online(finding: Finding) -> bool:
    return finding.name == "processor" and finding.fields["online"] == "1"


def _is_good(variable: Finding) -> bool:
    fields = variable.fields
    return (fields["error"], fields["equal"], fields["removed"]) == ("0", "1", "0")


def _shows_vmx(findings: list[Finding]) -> bool | None:
    """Whether the processors show VMX; None if they were not looked at, or disagree."""
    found = {finding.fields.get("cpuid_vmx") for finding in findings if finding.name == "processor"}
    return {"0": False, "1": True}.get(found.pop() or "") if len(found) == 1 else None


def _served(slept: Slept, stretches: list[tuple[int, int]]) -> str | None:
    smis = group_smis(slept.stream.transitions)
    found = {
        "stm" if smi.dual_monitor else "handler" for begin, end in stretches for smi in smis if begin < smi.t < end
    }
    return "+".join(sorted(found)) if found else None


def _counted(morning: list[Finding]) -> tuple[int, int]:
    """SMIs counted on the first processor, and raised, by port B2H."""
    smis = [finding.fields for finding in morning if finding.name == "smis"]
    return int(smis[1]["count0"]) - int(smis[0]["count0"]), int(smis[1]["raised"]) - int(smis[0]["raised"])


def _lines(run: LinuxRun) -> int:
    return sum(int(log.fields["lines"]) for log in run.named("log"))


def _new_lines(run: LinuxRun, plain: LinuxRun) -> list[str]:
    """Warnings of the kernel that are not there without a VMM."""
    texts = [Counter(line.fields["text"] for line in one.named("log-line")) for one in (run, plain)]
    return sorted((texts[0] - texts[1]).elements())


def _expectations(variant: Variant, row: Row | None, processors: int) -> list[Expectation]:
    """What one variant must show; of a variant that never was, nothing is seen."""
    under = variant.options is not None
    slept = row is not None and row.woken > 0

    def one(what: str, expected: Value, value: Value) -> Expectation:
        return Expectation.equal(f"{variant.name}: {what}", expected, value)

    return [
        one("sleeps after which Linux is alive", variant.nights, row.woken if row else None),
        one("processors online after", processors, row.online if row else None),
        Expectation.nothing_wrong(
            f"{variant.name}: UEFI variables read back as written after",
            row.variables[1] if row else [],
            row.variables[0] if row else 0,
        ),
        one(
            "SMIs counted of those raised after",
            None if row is None or row.counted is None else row.counted[1],
            None if row is None or row.counted is None else row.counted[0],
        ),
        one("the processor shows VMX before the sleep", not under, row.vmx[0] if row else None),
        one("the processor shows VMX after", not variant.returns, row.vmx[1] if row else None),
        one("who serves SMIs before", "stm" if under else "handler", row.served[0] if row else None),
        one("who serves SMIs after", "stm" if variant.returns else "handler", row.served[1] if row else None),
        one("the VMM leaves before the sleep", variant.leaves, row.left if row is not None and slept else None),
    ]
