# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an experiment is: a declaration, the course of a run, and expectations that are seen or not."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from rich.console import Console

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.machine import command_of
from build_scripts.machine.processors import Configuration
from build_scripts.progress import say
from build_scripts.tables import compact_table

DEFAULT_EXPERIMENT = "first-light"

# What is compared: something that JSON can hold and a table can show.
Value = bool | int | str | list[str] | None


@dataclass(frozen=True)
class Expectation:
    """One thing that an experiment must show.

    Attributes:
        name: what it is about, a phrase that is unique in the experiment.
        expected: what must be seen, in a form for people if it is no plain value.
        seen: what was.
        passed: whether that is enough.
    """

    name: str
    expected: Value
    seen: Value
    passed: bool

    @classmethod
    def equal(cls, name: str, expected: Value, seen: Value) -> Expectation:
        """Exactly this must be seen; None, for what was not seen at all, is never enough."""
        return cls(name, expected, seen, seen is not None and seen == expected)

    @classmethod
    def at_least(cls, name: str, least: int, seen: int | None) -> Expectation:
        """This number or more."""
        return cls(name, f"at least {least:,}", seen, seen is not None and seen >= least)

    @classmethod
    def nothing_wrong(cls, name: str, wrong: Iterable[str], looked_at: int) -> Expectation:
        """No complaint, about at least one thing that could have given cause for one.

        Args:
            wrong: complaints, a sentence each.
            looked_at: how many things were looked at.
        """
        found = list(wrong)
        if not found and looked_at == 0:
            return cls(name, [], None, False)
        return cls(name, [], found, not found)

    def as_json(self) -> dict[str, Value]:
        """The shape of the schema."""
        return {"name": self.name, "expected": self.expected, "seen": self.seen, "passed": self.passed}

    def complaint(self) -> str:
        """Why it failed; complaints have a line each."""
        if isinstance(self.seen, list) and self.expected == []:
            return "\n    ".join([f"{self.name}:", *self.seen])
        return f"{self.name}: expected {words_of(self.expected)}, saw {words_of(self.seen)}"


def words_of(value: Value) -> str:
    """A value as the screen shows it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case []:
            return "no complaint"
        case list():
            return "; ".join(value)
        case int():
            return f"{value:,}"
    return str(value)


@dataclass(frozen=True)
class Request:
    """What the user asked for; None and empty are what he did not give.

    Attributes:
        experiment: its name.
        json: where to write the facts.
        trace: where to write the trace for Perfetto.
        script: the user's own Shell commands instead of the experiment's.
        timeout: seconds that each boot may take.
        processors: how many the machine has.
        verbose: tell of QEMU's command line and of each record while the guest runs.
        configuration: which processor.
        fw_cfg: further fw_cfg files, ``NAME=VALUE`` or ``NAME=@FILE``.
        stm_image: an STM image to run instead of this checkout's.
        kernel: which of the distribution's kernels, a key of build_scripts/linux/packages.json.
        kvm_args: parameters of kvm_intel, such as ``ept=0``.
        kernel_args: further words of the kernel's command line.
        program: a static program to run under Linux instead of the lab's steps.
        attack: one attack instead of all.
        rst: the page of the documentation whose table is to be replaced.
    """

    experiment: str = DEFAULT_EXPERIMENT
    json: Path | None = None
    trace: Path | None = None
    script: Path | None = None
    timeout: float | None = None
    processors: int | None = None
    verbose: bool = False
    configuration: Configuration | None = None
    fw_cfg: tuple[str, ...] = ()
    stm_image: Path | None = None
    kernel: str | None = None
    kvm_args: tuple[str, ...] = ()
    kernel_args: tuple[str, ...] = ()
    program: Path | None = None
    attack: str | None = None
    rst: Path | None = None

    def given(self) -> list[str]:
        """The names of the fields that the user gave a value."""
        return [
            field.name for field in fields(self) if field.name in OPTIONS and getattr(self, field.name) != field.default
        ]


# Options that every experiment takes, or refuses with a reason of its own.
COMMON = ("json", "trace", "script", "timeout", "processors", "verbose")
# How the command line names each field.
OPTIONS = {
    "json": "--json",
    "trace": "--trace",
    "script": "--script",
    "timeout": "--timeout",
    "processors": "--processors",
    "verbose": "--verbose",
    "configuration": "--qemu or --no-dual-monitor",
    "fw_cfg": "--fw-cfg",
    "stm_image": "--stm-image",
    "kernel": "--kernel",
    "kvm_args": "--kvm-args",
    "kernel_args": "--kernel-args",
    "program": "--program",
    "attack": "ATTACK",
    "rst": "--rst",
}

Seen = TypeVar("Seen")


class Experiment(ABC, Generic[Seen]):
    """One experiment; `Seen` is what its boots leave behind.

    Attributes:
        name: on the command line and in JSON.
        title: a line that says what it shows.
        page: its page of the documentation, relative to ``docs/``, without ending.
        processors: of its machine, unless the user says otherwise.
        timeout: of each boot in seconds, unless the user says otherwise.
        takes: fields of `Request` that it takes beyond `COMMON`.
        refuses: fields of `COMMON` that cannot apply to it, each with the reason, a clause.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    page: ClassVar[str]
    processors: ClassVar[int] = 1
    timeout: ClassVar[float]
    takes: ClassVar[frozenset[str]] = frozenset()
    refuses: ClassVar[Mapping[str, str]] = {}

    def check_options(self, request: Request) -> None:
        """Refuse options that cannot apply.

        Raises:
            LabError: the user gave one.
        """
        for field in request.given():
            if field in self.refuses:
                raise LabError(f"{OPTIONS[field]}: {self.refuses[field]}", ExitCode.USAGE)
            if field not in COMMON and field not in self.takes:
                raise LabError(
                    f"the experiment {self.name} takes no {OPTIONS[field]}",
                    ExitCode.USAGE,
                    remedy="docs/reference/cli.rst tells which options belong to which experiment",
                )

    def processors_of(self, request: Request) -> int:
        """How many processors the machine gets."""
        return self.processors if request.processors is None else request.processors

    def timeout_of(self, request: Request) -> float:
        """Limit of a boot in seconds."""
        return self.timeout if request.timeout is None else request.timeout

    @abstractmethod
    def check(self, request: Request) -> None:
        """Refuse values that would show something untrue, before anything is built.

        Raises:
            LabError: why not.
        """

    @abstractmethod
    def boot(self, request: Request) -> Seen:
        """Build what is missing, boot, and read what was recorded.

        Raises:
            LabError: something could not be built, obtained or started.
        """

    @abstractmethod
    def failure(self, seen: Seen) -> LabError | None:
        """What stopped a guest short of its end: a crash, a hang, an unexpected reset."""

    @abstractmethod
    def story(self, seen: Seen, out: Console) -> None:
        """Tell a person what happened."""

    @abstractmethod
    def expectations(self, seen: Seen) -> list[Expectation]:
        """What the experiment must show, also of a guest that was stopped short."""

    @abstractmethod
    def facts(self, seen: Seen) -> dict[str, Any]:
        """The experiment's own members of the JSON document."""

    @abstractmethod
    def closing(self, seen: Seen, out: Console) -> None:
        """Say which machine it was, and where its logs are, in lines ``logs: DIRECTORY``."""

    @abstractmethod
    def logs(self, seen: Seen) -> Path:
        """The directory of the logs to look at first."""

    def run_dirs(self, seen: Seen) -> list[Path]:
        """The directories of all boots, in order."""
        return [self.logs(seen)]


def failed(request: Request, expectations: Iterable[Expectation]) -> LabError | None:
    """The error that names each expectation that failed; None if all passed."""
    complaints = [expectation.complaint() for expectation in expectations if not expectation.passed]
    if not complaints:
        return None
    heading = f"the experiment {request.experiment} did not show what it should:"
    if request.script is not None:
        heading = f"the script {request.script} did not run as it should:"
    return LabError("\n  ".join([heading, *complaints]), ExitCode.EXPECTATION_FAILED)


def tell_command(run_dir: Path) -> None:
    """Say how QEMU was started, for ``-v``."""
    say(f"QEMU's command line: {shlex.join(command_of(run_dir))}")


def show_expectations(expectations: list[Expectation], out: Console) -> None:
    """Print what was expected and what was seen."""
    passed = sum(expectation.passed for expectation in expectations)
    table = compact_table(
        f"Expectations: {passed} of {len(expectations)} met",
        words=("Expectation", "Expected", "Seen"),
        numbers=("Met",),
    )
    for expectation in expectations:
        table.add_row(
            expectation.name,
            words_of(expectation.expected),
            words_of(expectation.seen),
            words_of(expectation.passed),
        )
    out.print(table)
