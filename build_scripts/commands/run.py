# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``run``: build what is missing, boot the demonstration, show and keep the facts."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jsonschema

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.builds.qemu_build import BINARY, extended_qemu
from build_scripts.builds.stm_build import firmware_to_boot
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import fw_cfg, processors
from build_scripts.machine.machine import COMMAND_FILE, CONSOLE_LOG, DEFAULT_TIMEOUT_SECONDS, Ending, boot
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation import crash, demo, report, show
from build_scripts.observation.events import Record, RecordError, Stream, read_stream
from build_scripts.observation.follow import Follower
from build_scripts.progress import Step, say, step

TRACE = ("vmx_*",)


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for.

    Attributes:
        configuration: which processor.
        json: where to write the facts, if anywhere.
        script: the user's own shell commands instead of the demonstration.
        timeout: seconds that the guest may take.
        processors: how many the machine has.
        fw_cfg: further fw_cfg files, ``NAME=VALUE`` or ``NAME=@FILE``.
        verbose: tell of QEMU's command line and of each record while the guest runs.
        stm_image: an STM image to run instead of this checkout's.
    """

    configuration: Configuration
    json: Path | None = None
    script: Path | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    processors: int = 1
    fw_cfg: tuple[str, ...] = ()
    verbose: bool = False
    stm_image: Path | None = None


@dataclass(frozen=True)
class Result:
    """What one boot left behind."""

    run_dir: Path
    ending: Ending
    stream: Stream

    def command(self) -> list[str]:
        """QEMU's command line."""
        return (self.run_dir / COMMAND_FILE).read_text(encoding="utf-8").splitlines()


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
    """The lines of a user's script; empty ones stay, so that line numbers are the user's.

    Raises:
        LabError: it cannot be read, or is empty.
    """
    try:
        lines = tuple(line.strip() for line in path.read_text(encoding="ascii").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"script {path}: {error}", ExitCode.USAGE) from error
    if not any(lines):
        raise LabError(f"script {path} is empty", ExitCode.USAGE)
    return lines


def check_processors(number: int, configuration: Configuration, script: tuple[str, ...]) -> None:
    """Refuse what would show something untrue.

    Raises:
        LabError: the script starts the STM on a machine with several processors.
    """
    starts = any(line.lower().split()[:2] in (["execmon.efi", "start"], ["execmon", "start"]) for line in script)
    if number > 1 and configuration is Configuration.DUAL_MONITOR and starts:
        raise LabError(
            f"--processors {number}: the executive monitor starts the STM on one processor only; on the others SMIs "
            "would keep the default treatment, and their SMI handler could write MSEG",
            ExitCode.USAGE,
            remedy="one processor, --no-dual-monitor, --qemu stock, or a script without 'ExecMon.efi start'",
        )


def find_firmware(request: RunRequest) -> Firmware:
    """The images to boot; what the user's STM image replaces is not built.

    Raises:
        LabError: a build failed, or the user's image cannot be read.
    """
    image = request.stm_image
    if image is None:
        return firmware_to_boot()
    try:
        with image.open("rb"):
            pass
    except OSError as error:
        raise LabError(f"--stm-image {image}: {error.strerror}", ExitCode.USAGE) from error
    return replace(firmware_to_boot(need_stm=False), mseg=image, override=image)


def boot_configuration(
    configuration: Configuration,
    firmware: Firmware,
    script: tuple[str, ...],
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    extra: tuple[str, ...] = (),
    *,
    processors: int = 1,
    told: Callable[[Record], None] | None = None,
) -> Result:
    """Boot the firmware on one kind of processor and read what it recorded.

    Args:
        script: shell commands; the last should end the guest.
        timeout: in seconds.
        extra: further QEMU arguments.
        processors: how many; instructions are counted only if there is one, since a count is of all together.
        told: called for each record while the guest runs.
    """
    guest = Guest(
        qemu=find_qemu(configuration),
        cpu=configuration.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=script,
        processors=processors,
        icount=processors == 1,
        trace=TRACE if configuration.extended else (),
        extra=extra,
        stm_image=firmware.override,
    )
    run_dir = paths.new_run_dir(configuration.value)
    follower = Follower(run_dir, told) if told is not None else None
    ending = boot(guest, run_dir, timeout, follower.poll if follower is not None else None)
    return Result(run_dir, ending, read_stream(run_dir))


def run(request: RunRequest) -> int:
    """Run the demonstration, or the user's script; returns an exit code.

    Raises:
        LabError: a build failed or an argument is bad. What the guest did wrong is printed and returned.
    """
    script = read_script(request.script) if request.script is not None else demo.SCRIPT
    check_processors(request.processors, request.configuration, script)
    extra = fw_cfg.arguments(request.fw_cfg)
    need_writable("--json", request.json)
    qemu = find_qemu(request.configuration)
    firmware = find_firmware(request)
    version = processors.version(qemu)
    with step(f"booting the firmware on QEMU {version} ({request.configuration.value})") as shown:
        result = boot_configuration(
            request.configuration,
            firmware,
            script,
            request.timeout,
            extra,
            processors=request.processors,
            told=_teller(shown, request.verbose),
        )
    if request.verbose:
        say(f"QEMU's command line: {shlex.join(result.command())}")
    out = show.console()
    error = demo.check_ending(result.stream, result.ending)
    try:
        facts = report.build_report(result.stream, request.configuration)
        show.show(facts, result.stream, out)
        error = error or _missing(request, firmware, facts, result.stream)
        if (record := demo.crash_record(result.stream)) is not None and error is not None:
            words = crash.explain(record, result.stream, result.run_dir, firmware.symbols)
            error.message = "\n  ".join([error.message, *words])
    except RecordError as bad:
        error = error or LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED)
        error.log = result.run_dir
        raise error from bad
    out.print(f"machine: QEMU {version}, {request.configuration.cpu}", soft_wrap=True)
    out.print(f"console of the guest: {result.run_dir / CONSOLE_LOG}", soft_wrap=True)
    out.print(f"logs: {result.run_dir}", soft_wrap=True)
    errors = [] if error is None else [error]
    if request.json is not None:
        unwritten = _write_facts(request.json, facts, ExitCode.OK if error is None else error.code)
        errors += [] if unwritten is None else [unwritten]
    for found in errors:
        found.log = result.run_dir
        say(str(found))
    return int(errors[0].code if errors else ExitCode.OK)


def _missing(request: RunRequest, firmware: Firmware, facts: report.Report, stream: Stream) -> LabError | None:
    """What a run that powered off did not show: all of the demonstration, or success of each own command."""
    if request.script is None:
        heading, found = "the demonstration did not show what it should:", demo.problems(facts, stream)
    else:
        heading, found = f"the script {request.script} did not run as it should:", demo.script_problems(stream)
    if firmware.override is not None:
        found += demo.image_problems(stream, paths.sha256_file(firmware.override))
    return LabError("\n  ".join([heading, *found]), ExitCode.EXPECTATION_FAILED) if found else None


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
