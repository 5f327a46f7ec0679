# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs a test image on QEMU and reads what it reports on the debug console."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from build_scripts.processes import communicate, ends_with_parent

EXIT_FINISHED = (0x21, 0x23)  # isa-debug-exit values 10H (pass) and 11H (fail)

_CHECK = re.compile(
    r"CHECK id=(?P<rule>\S+) name=(?P<name>\S+) result=(?P<result>pass|fail) "
    r"detail=(?P<detail>.*)"
)
_RESET = re.compile(r"RESET checks=(?P<checks>\d+) failures=(?P<failures>\d+)")
_END = re.compile(r"END checks=(?P<checks>\d+) failures=(?P<failures>\d+)")
_SHUTDOWN = re.compile(r"EXPECT-SHUTDOWN id=(?P<rule>\S+) name=(?P<name>\S+) checks=(\d+)")


@dataclass(frozen=True)
class Check:
    """One CHECK line: the rule it obeys, its name, the result and the values."""

    rule: str
    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        result = "pass" if self.passed else "FAIL"
        return f"{result} {self.rule} {self.name}: {self.detail}"


@dataclass(frozen=True)
class Outcome:
    """What one run left behind.

    status is QEMU's exit status, or None after a timeout; declared is the
    number of checks the image itself counted, None without an END record;
    shutdown names the rule of an announced shutdown.
    """

    checks: tuple[Check, ...]
    declared: int | None
    shutdown: str | None
    status: int | None
    log: str
    errors: str

    def problems(self, expect_shutdown: bool, deviations: tuple[str, ...] = ()) -> list[str]:
        """Every reason why this run is not a success; empty if it is one.

        Args:
            expect_shutdown: the image must announce a shutdown and not get beyond it.
            deviations: "rule name" of checks that this machine is known to fail; they must fail.
        """
        failing = [(f"{check.rule} {check.name}", check) for check in self.checks if not check.passed]
        names = {name for name, _ in failing}
        found = [str(check) for name, check in failing if name not in deviations]
        found += [f"no longer deviates: {name}" for name in deviations if name not in names]
        if self.status is None:
            found.append("the machine was still running at the timeout")
        if expect_shutdown:
            if self.shutdown is None:
                found.append("the image did not reach its EXPECT-SHUTDOWN record")
            elif self.declared is not None or self.status != 0:
                found.append(f"no shutdown, which {self.shutdown} demands")
        else:
            if self.status is not None and self.status not in EXIT_FINISHED:
                found.append("the image did not end the machine itself")
            if not self.checks:
                found.append("no CHECK line")
            if self.declared is None:
                found.append("no END record")
            elif self.declared != len(self.checks):
                found.append(f"{self.declared} checks were made, {len(self.checks)} read")
        if found:
            found.append(f"exit status {self.status}; last lines:")
            found += self.log.splitlines()[-5:]
            found += self.errors.splitlines()[-5:]
        return found


def parse_log(log: str, status: int | None, errors: str = "") -> Outcome:
    """Reads the records of a debug console log."""
    checks: list[Check] = []
    declared: int | None = None
    shutdown: str | None = None
    before_reset = 0
    for line in log.splitlines():
        if match := _CHECK.fullmatch(line):
            checks.append(Check(match["rule"], match["name"], match["result"] == "pass", match["detail"]))
        elif match := _END.fullmatch(line):
            declared = before_reset + int(match["checks"])
        elif match := _RESET.fullmatch(line):
            before_reset += int(match["checks"])
        elif match := _SHUTDOWN.match(line):
            shutdown = match["rule"]
    return Outcome(tuple(checks), declared, shutdown, status, log, errors)


def qemu_arguments(qemu: Path, rom: Path, log: Path, cpu: str, extra: tuple[str, ...] = ()) -> list[str]:
    """The command line of every run: q35 with SMM, 64 MiB, one processor, one thread unless `extra` says otherwise."""
    return [
        str(qemu),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35,smm=on"),
        *(() if "-accel" in extra else ("-accel", "tcg,thread=single")),
        # That device asks for a blob that a build tree may not have.
        *("-global", "apic-common.vapic=off"),
        *("-m", "64M", "-smp", "1", "-cpu", cpu, "-bios", str(rom)),
        *("-chardev", f"file,id=log,path={log}"),
        *("-device", "isa-debugcon,iobase=0x402,chardev=log"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
        *extra,
    ]


def run_image(
    qemu: Path,
    rom: Path,
    work: Path,
    cpu: str,
    extra: tuple[str, ...] = (),
    timeout: float = 60.0,
) -> Outcome:
    """Runs one image; timeout in seconds, as `processes.TimeLimit` counts them.  Files go to the folder `work`."""
    log = work / "debug.log"
    arguments = qemu_arguments(qemu, rom, log, cpu, extra)
    with subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=ends_with_parent()
    ) as process:
        status: int | None
        try:
            _, errors = communicate(process, timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
            status = None
    text = log.read_text(encoding="ascii", errors="replace") if log.exists() else ""
    return parse_log(text, status, errors)
