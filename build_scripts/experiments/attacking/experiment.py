# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The experiment ``attacks``: what an STM stops, what only a request for protection stops, and what nothing stops."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.attacking import page, report
from build_scripts.experiments.attacking.attack import Attack, Attacker, Column, Outcome
from build_scripts.experiments.attacking.boots import MACHINE, Boot, boots_for, trace_of
from build_scripts.experiments.attacking.catalogue import all_attacks
from build_scripts.experiments.attacking.report import Row
from build_scripts.experiments.experiment import Expectation, Experiment, Request, tell_command
from build_scripts.experiments.shell import Result, boot_configuration, find_firmware
from build_scripts.machine.machine import CONSOLE_LOG
from build_scripts.machine.processors import STM_IMAGE_KEY, Configuration
from build_scripts.observation import outcome, show
from build_scripts.progress import step

_MACHINE = Configuration.DUAL_MONITOR


@dataclass(frozen=True)
class AttacksSeen:
    """What the boots left, in order; one that failed is the last.

    Attributes:
        attacks: those that take part.
        boots: what was booted, and what that left.
    """

    request: Request
    attacks: Mapping[str, Attack]
    boots: tuple[tuple[Boot, Result], ...]

    def rows(self) -> list[Row]:
        """The table.

        Raises:
            RecordError: a record lacks a number that it must have.
        """
        found = []
        for name, attack in self.attacks.items():
            traces = {}
            for boot, result in self.boots:
                if name in boot.attacks and (trace := trace_of(name, boot, result.stream)) is not None:
                    traces[boot.column] = trace
            found.append(Row.of(name, attack, traces))
        return found


class Attacks(Experiment[AttacksSeen]):
    """Try each attack without an STM, with one, and with one that was asked to protect."""

    name = "attacks"
    title = "what an STM stops, what it stops if asked, and what it does not"
    page = "tutorial/attack-it"
    timeout = 180.0
    takes = frozenset({"attack", "rst"})
    refuses: ClassVar[Mapping[str, str]] = {
        "script": "the experiment attacks makes its scripts of its attacks; write one of those",
        "processors": "the experiment attacks is one of a single processor, whose steps come in one order",
    }

    def check(self, request: Request) -> None:
        """Refuse an attack that does not exist, and a page without the whole table."""
        _chosen(request)
        if request.rst is not None and request.attack is not None:
            raise LabError("--rst: the page holds the table of all attacks", ExitCode.USAGE, remedy="name none")

    def boot(self, request: Request) -> AttacksSeen:
        """Boot each column, and each attack that needs a boot of its own."""
        firmware = find_firmware(None)
        image = firmware.mseg.read_bytes()
        attacks = {name: attack.against(image) for name, attack in _chosen(request).items()}
        boots: list[tuple[Boot, Result]] = []
        with tempfile.TemporaryDirectory(prefix="stmlab-attacks-") as folder:
            planned = boots_for(attacks)
            for number, boot in enumerate(planned, 1):
                with step(f"boot {number} of {len(planned)}: {boot.title}"):
                    extra = (*MACHINE, *boot.arguments, *_image_arguments(boot, attacks, firmware, Path(folder)))
                    result = boot_configuration(
                        _MACHINE, firmware, boot.script, self.timeout_of(request), extra, processors=boot.processors
                    )
                if request.verbose:
                    tell_command(result.run_dir)
                boots.append((boot, result))
        return AttacksSeen(request, attacks, tuple(boots))

    def failure(self, seen: AttacksSeen) -> LabError | None:
        """What ended a boot in which no attack was to end it."""
        for boot, result in seen.boots:
            if boot.alone and outcome.crash_record(result.stream) is not None:
                continue
            error = outcome.check_ending(result.stream, result.ending)
            if error is not None:
                error.message = f"{boot.title}: {error.message}"
                error.log = result.run_dir
                return error
        return None

    def story(self, seen: AttacksSeen, out: Console) -> None:
        """The table, or everything about one attack."""
        rows = seen.rows()
        if seen.request.attack is None:
            out.print(report.table(rows))
            return
        for row in rows:
            for line in report.detail(row):
                show.tell(out, line)
        out.print()

    def expectations(self, seen: AttacksSeen) -> list[Expectation]:
        """Every attack came out as it says; nothing but what was seen counts."""
        rows = seen.rows()
        found = []
        for attacker in Attacker:
            mine = [row for row in rows if row.attack.attacker is attacker]
            if mine:
                wrong = [complaint for row in mine for complaint in row.complaints()]
                tried = sum(len(row.traces) for row in mine)
                found.append(Expectation.nothing_wrong(f"attacks by: {attacker.value}", wrong, tried))
        tried = sum(len(row.traces) for row in rows)
        pointless = [
            f"{row.name} succeeds nowhere, and gives no reason"
            for row in rows
            if Outcome.SUCCEEDED not in {row.outcome(column) for column in Column} and not row.attack.reason
        ]
        unreadable = [f"{boot.title}: {error}" for boot, result in seen.boots for error in result.stream.errors]
        return [
            *found,
            Expectation.nothing_wrong(
                "every attack succeeds somewhere, or says why not", pointless if tried else [], tried
            ),
            Expectation.nothing_wrong("every record is readable", unreadable, tried),
        ]

    def facts(self, seen: AttacksSeen) -> dict[str, Any]:
        """The table."""
        return {"attacks": [row.as_json() for row in seen.rows()]}

    def closing(self, seen: AttacksSeen, out: Console) -> None:
        """Where the logs are, and the page if one was asked for."""
        if seen.request.rst is not None:
            page.update(seen.request.rst, self.facts(seen))
        for _boot, result in seen.boots:
            out.print(f"console of the guest: {result.run_dir / CONSOLE_LOG}", soft_wrap=True)
            out.print(f"logs: {result.run_dir}", soft_wrap=True)

    def logs(self, seen: AttacksSeen) -> Path:
        """Those of the boot that failed, else of the last one."""
        for boot, result in seen.boots:
            if not boot.alone and outcome.check_ending(result.stream, result.ending) is not None:
                return result.run_dir
        return seen.boots[-1][1].run_dir

    def run_dirs(self, seen: AttacksSeen) -> list[Path]:
        """Those of all boots."""
        return [result.run_dir for _boot, result in seen.boots]


def _chosen(request: Request) -> dict[str, Attack]:
    attacks = all_attacks()
    if request.attack is None:
        return attacks
    if request.attack not in attacks:
        raise LabError(
            f"no attack is called {request.attack}",
            ExitCode.USAGE,
            remedy=f"the table of 'run attacks' names them: {', '.join(attacks)}",
        )
    return {request.attack: attacks[request.attack]}


def _image_arguments(boot: Boot, attacks: Mapping[str, Attack], firmware: Firmware, folder: Path) -> tuple[str, ...]:
    """QEMU's arguments for the STM image that an attack has changed."""
    change = attacks[boot.image].image if boot.image is not None else None
    if change is None:
        return ()
    path = folder / f"{boot.image}.mseg"
    path.write_bytes(change(firmware.mseg.read_bytes()))
    return ("-fw_cfg", f"name={STM_IMAGE_KEY},file={path}")
