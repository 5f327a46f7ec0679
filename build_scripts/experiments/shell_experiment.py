# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Experiments whose machine runs commands of the UEFI Shell, in one boot or several."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.experiment import Expectation, Experiment, Request, tell_command
from build_scripts.experiments.shell import (
    Result,
    boot_configuration,
    find_firmware,
    find_qemu,
    read_script,
)
from build_scripts.machine import fw_cfg, processors
from build_scripts.machine.machine import CONSOLE_LOG, DEFAULT_TIMEOUT_SECONDS, HALTED
from build_scripts.machine.processors import Configuration
from build_scripts.observation import crash, outcome, report, show
from build_scripts.observation.events import Record, RecordError, Stream
from build_scripts.progress import Step, say, step


@dataclass(frozen=True)
class Course:
    """One boot of an experiment: on which processor, with which commands, the last of which ends the guest.

    Attributes:
        dies_at_wake: the guest is meant not to come back from standby, and then halts for good.
        fw_cfg: files that its machine has beside the user's, ``NAME=VALUE``.
        observed: what the STM's SMI handler touches is traced.
        tpm: its machine has a TPM 2.0.
    """

    configuration: Configuration
    script: tuple[str, ...]
    dies_at_wake: bool = False
    fw_cfg: tuple[str, ...] = ()
    observed: bool = False
    tpm: bool = False


@dataclass(frozen=True)
class Booted:
    """What one boot left.

    Attributes:
        course: what was booted.
        qemu_version: the machine's.
        result: logs, ending, records.
    """

    course: Course
    qemu_version: str
    result: Result

    @property
    def stream(self) -> Stream:
        """The records."""
        return self.result.stream

    @property
    def configuration(self) -> Configuration:
        """Which processor."""
        return self.course.configuration

    def report(self) -> report.Report:
        """The facts of the boot.

        Raises:
            RecordError: a record lacks a number that it must have.
        """
        return report.build_report(self.stream, self.configuration)

    def failure(self) -> LabError | None:
        """What stopped the guest short of a power-off."""
        if self.course.dies_at_wake and self.result.ending.reason == HALTED:
            return None
        error = outcome.check_ending(self.stream, self.result.ending)
        if error is not None:
            error.log = self.result.run_dir
        return error


@dataclass(frozen=True)
class ShellSeen:
    """What the boots of an experiment left; one that failed is the last.

    Attributes:
        request: what the user asked for.
        firmware: the images.
        boots: in order.
    """

    request: Request
    firmware: Firmware
    boots: tuple[Booted, ...]

    def on(self, configuration: Configuration) -> Booted | None:
        """The boot on a processor, if there was one."""
        return next((booted for booted in self.boots if booted.configuration is configuration), None)


class Row(Protocol):
    """A row of an experiment's table."""

    def as_json(self) -> dict[str, Any]:
        """The shape of the schema."""


class ShellExperiment(Experiment[ShellSeen]):
    """The course of a run that is common to these experiments; `courses` is what each declares."""

    timeout = DEFAULT_TIMEOUT_SECONDS
    takes = frozenset({"fw_cfg", "stm_image"})

    @abstractmethod
    def courses(self, request: Request) -> tuple[Course, ...]:
        """The experiment's own boots."""

    def _asked(self, request: Request) -> tuple[Course, ...]:
        """The same machines with the user's commands, if he brought some."""
        courses = self.courses(request)
        if request.script is None:
            return courses
        script = read_script(request.script)
        return tuple({replace(course, script=script, dies_at_wake=False): None for course in courses})

    def check(self, request: Request) -> None:
        """Read the user's files."""
        for course in self._asked(request):
            given = {word.partition("=")[0] for word in request.fw_cfg}
            for own in course.fw_cfg:
                if own.partition("=")[0] in given:
                    raise LabError(
                        f"--fw-cfg {own.partition('=')[0]}: the experiment {self.name} passes {own} itself",
                        ExitCode.USAGE,
                        remedy="leave the option out",
                    )
            fw_cfg.arguments((*course.fw_cfg, *request.fw_cfg))

    def boot(self, request: Request) -> ShellSeen:
        """Boot one machine after another, until one fails."""
        courses = self._asked(request)
        qemus = [find_qemu(course.configuration) for course in courses]
        firmware = find_firmware(request.stm_image)
        boots: list[Booted] = []
        for course, qemu in zip(courses, qemus, strict=True):
            version = processors.version(qemu)
            with step(f"booting the firmware on QEMU {version} ({course.configuration.value})") as shown:
                result = boot_configuration(
                    course.configuration,
                    firmware,
                    course.script,
                    self.timeout_of(request),
                    fw_cfg.arguments((*course.fw_cfg, *request.fw_cfg)),
                    processors=self.processors_of(request),
                    told=_teller(shown, request.verbose),
                    told_smi=(lambda smi: say(show.live_line(smi))) if request.verbose else None,
                    dies_at_wake=course.dies_at_wake,
                    observed=course.observed,
                    tpm=course.tpm,
                )
            if request.verbose:
                tell_command(result.run_dir)
            boots.append(Booted(course, version, result))
            if boots[-1].failure() is not None:
                break
        return ShellSeen(request, firmware, tuple(boots))

    def failure(self, seen: ShellSeen) -> LabError | None:
        """The failure of the last boot, a crash with its explanation."""
        last = seen.boots[-1]
        error = last.failure()
        if error is not None and (record := outcome.crash_record(last.stream)) is not None:
            words = crash.explain(record, last.stream, last.result.run_dir, seen.firmware.symbols)
            error.message = "\n  ".join([error.message, *words])
        return error

    def closing(self, seen: ShellSeen, out: Console) -> None:
        """Which machine it was, and where its logs are."""
        for booted in seen.boots:
            show.tell(out, f"machine: QEMU {booted.qemu_version}, {booted.configuration.cpu}")
            out.print(f"console of the guest: {booted.result.run_dir / CONSOLE_LOG}", soft_wrap=True)
            out.print(f"logs: {booted.result.run_dir}", soft_wrap=True)

    def logs(self, seen: ShellSeen) -> Path:
        """Those of the last boot: if one failed, it did."""
        return seen.boots[-1].result.run_dir

    def run_dirs(self, seen: ShellSeen) -> list[Path]:
        """Those of all boots."""
        return [booted.result.run_dir for booted in seen.boots]


def tell_boots(seen: ShellSeen, heading: Callable[[Booted], str], out: Console) -> None:
    """What happened in each boot, in order, under a heading of its own."""
    for booted in seen.boots:
        out.print(heading(booted))
        for record in booted.stream.records:
            if words := show.words_of(record):
                show.tell(out, words)
        out.print()


def boots_and_rows(seen: ShellSeen, rows: Iterable[Row]) -> dict[str, Any]:
    """The facts of an experiment with a table: each boot in the form of first-light, and the rows."""
    return {
        "boots": [booted.report().as_json() for booted in seen.boots],
        "rows": [row.as_json() for row in rows],
    }


def script_expectations(seen: ShellSeen) -> list[Expectation]:
    """What holds of every script, the user's own too: it is carried out, with the STM image that was asked for."""
    failures: list[str] = []
    statuses = images = 0
    wrong_images: list[str] = []
    for booted in seen.boots:
        failures += outcome.script_problems(booted.stream)
        statuses += len(booted.stream.of("APP", "script"))
        if seen.firmware.override is not None:
            wrong_images += outcome.image_problems(booted.stream, paths.sha256_file(seen.firmware.override))
            images += len(booted.stream.of("FW", "status"))
    found = [Expectation.nothing_wrong("every command ends well, every record is readable", failures, statuses)]
    if seen.firmware.override is not None:
        found.append(
            Expectation.nothing_wrong("the firmware takes the STM image that was passed", wrong_images, images)
        )
    return found


def _teller(shown: Step, verbose: bool) -> Callable[[Record], None]:
    """Tells of records while the guest runs: as the step's status, or line by line."""

    def tell(record: Record) -> None:
        try:
            words = show.words_of(record)
        except RecordError:
            return  # it is found again, and named, after the end
        for line in words.splitlines():
            if verbose:
                say(line)
            else:
                shown.line(line)

    return tell
