# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``run``: build what is missing, boot the demonstration, show and keep the facts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import jsonschema

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware, build_firmware
from build_scripts.builds.qemu_build import BINARY, extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors
from build_scripts.machine.machine import DEFAULT_TIMEOUT_SECONDS, Ending, boot
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation import demo, report, show
from build_scripts.observation.events import RecordError, Stream, read_stream
from build_scripts.progress import say, step

TRACE = ("vmx_*",)


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for.

    Attributes:
        configuration: which processor.
        json: where to write the facts, if anywhere.
        script: the user's own shell commands instead of the demonstration.
        timeout: seconds that the guest may take.
    """

    configuration: Configuration
    json: Path | None = None
    script: Path | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class Result:
    """What one boot left behind."""

    run_dir: Path
    ending: Ending
    stream: Stream


def find_qemu(configuration: Configuration) -> Path:
    """The binary for a configuration: the distribution's, or ours, built if need be.

    Raises:
        LabError: there is none.
    """
    if configuration.extended:
        binary = extended_qemu()
        if configuration is Configuration.DUAL_MONITOR and not processors.has_dual_monitor(binary):
            raise LabError(f"{binary} does not offer vmx-dual-monitor", remedy="check Platform/QemuVmx/patches")
        return binary
    found = shutil.which(BINARY)
    if found is None:
        raise LabError(f"no {BINARY} on the path", ExitCode.MISSING_PACKAGES, remedy="install qemu-system-x86")
    return Path(found)


def read_script(path: Path) -> tuple[str, ...]:
    """The lines of a user's script, without empty ones.

    Raises:
        LabError: it cannot be read, or is empty.
    """
    try:
        lines = tuple(line.strip() for line in path.read_text(encoding="ascii").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"script {path}: {error}", ExitCode.USAGE) from error
    if not lines:
        raise LabError(f"script {path} is empty", ExitCode.USAGE)
    return lines


def boot_configuration(
    configuration: Configuration,
    firmware: Firmware,
    script: tuple[str, ...],
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    extra: tuple[str, ...] = (),
) -> Result:
    """Boot the firmware on one processor and read what it recorded.

    Args:
        script: shell commands; the last should end the guest.
        timeout: in seconds.
        extra: further QEMU arguments.
    """
    guest = Guest(
        qemu=find_qemu(configuration),
        cpu=configuration.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=script,
        trace=TRACE if configuration.extended else (),
        extra=extra,
    )
    run_dir = paths.new_run_dir(configuration.value)
    ending = boot(guest, run_dir, timeout)
    return Result(run_dir, ending, read_stream(run_dir))


def run(request: RunRequest) -> int:
    """Run the demonstration, or the user's script; returns an exit code.

    Raises:
        LabError: a build failed or an argument is bad. What the guest did wrong is printed and returned.
    """
    script = read_script(request.script) if request.script is not None else demo.SCRIPT
    if request.json is not None and not request.json.absolute().parent.is_dir():
        raise LabError(f"--json: no directory {request.json.absolute().parent}", ExitCode.USAGE)
    if request.json is not None and request.json.is_dir():
        raise LabError(f"--json: {request.json} is a directory", ExitCode.USAGE)
    qemu = find_qemu(request.configuration)
    firmware = build_firmware()
    version = processors.version(qemu)
    with step(f"booting the firmware on QEMU {version} ({request.configuration.value})"):
        result = boot_configuration(request.configuration, firmware, script, request.timeout)
    out = show.console()
    error = demo.check_ending(result.stream, result.ending)
    try:
        facts = report.build_report(result.stream, request.configuration)
        show.show(facts, result.stream, out)
        missing = demo.problems(facts, result.stream) if error is None and request.script is None else []
    except RecordError as bad:
        error = error or LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED)
        error.log = result.run_dir
        raise error from bad
    if missing:
        text = "\n  ".join(["the run did not show what it must:", *missing])
        error = LabError(text, ExitCode.EXPECTATION_FAILED)
    out.print(f"machine: QEMU {version}, {request.configuration.cpu}", soft_wrap=True)
    out.print(f"logs: {result.run_dir}", soft_wrap=True)
    errors = [] if error is None else [error]
    if request.json is not None:
        unwritten = _write_facts(request.json, facts, ExitCode.OK if error is None else error.code)
        errors += [] if unwritten is None else [unwritten]
    for found in errors:
        found.log = result.run_dir
        say(str(found))
    return int(errors[0].code if errors else ExitCode.OK)


def _write_facts(path: Path, facts: report.Report, code: ExitCode) -> LabError | None:
    """Write the JSON document; returns why it could not be written, if so."""
    try:
        report.write_json(path, facts.as_json(int(code)))
    except RecordError as bad:
        return LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED)
    except jsonschema.ValidationError as bad:
        return LabError(f"the facts do not fit the schema: {bad.message}", ExitCode.EXPECTATION_FAILED)
    except OSError as bad:
        return LabError(f"--json: {bad}", ExitCode.USAGE)
    return None
