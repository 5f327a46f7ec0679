"""Boots the built firmware in QEMU, for ``stuart_build --FlashRom`` and ``--FlashOnly``.

Copyright (c) 2026, STM Lab contributors
SPDX-License-Identifier: BSD-2-Clause-Patent
"""

import logging
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from build_scripts import paths
from build_scripts.builds import firmware_build
from build_scripts.builds.qemu_build import extended_qemu
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import experiment
from build_scripts.experiments.first_light import SCRIPT, FirstLight
from build_scripts.experiments.shell import TRACE, Result
from build_scripts.experiments.shell_experiment import Booted, Course, ShellSeen
from build_scripts.machine import machine, processors
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.events import RecordError, read_stream
from build_scripts.progress import step

PROMPT = "prompt"


@dataclass(frozen=True)
class Request:
    """What to boot, and on what.

    Attributes:
        output: directory of the build, such as ``Build/OvmfStm/DEBUG_GCC``.
        qemu: binary, by path or by name; empty for the lab's machine.
        cpu: CPU model; empty for the lab's, with the dual-monitor treatment if
            the binary has it.
        script: Shell commands separated by ``;``; empty for the demonstration,
            ``prompt`` for a prompt.
        stm_image: path of an STM image that the firmware runs instead of its own;
            empty for its own.
    """

    output: Path
    qemu: str = ""
    cpu: str = ""
    script: str = ""
    stm_image: str = ""


def flash(request: Request) -> int:
    """Boot once and wait for QEMU to end.

    Returns:
        0 if the demonstration showed what it must, or QEMU's exit status after
        commands of one's own; otherwise not 0, and the log has the reason.
    """
    try:
        firmware = _with_image(_firmware(request.output), request.stm_image)
        binary = _binary(request.qemu)
        if request.script:
            return _interactive(request, firmware, binary)
        return _demonstration(request, firmware, binary)
    except LabError as error:
        logging.critical("%s", error)
        return int(error.code)


def _firmware(output: Path) -> firmware_build.Firmware:
    """The images of a build.

    Raises:
        LabError: there has been none.
    """
    files = {name: output / place for name, place in firmware_build.FILES.items()}
    for path in files.values():
        if not path.is_file():
            command = "stuart_build -c Platform/OvmfStmPkg/PlatformBuild.py --FlashRom"
            raise LabError(
                f"no firmware to boot: {path} does not exist", ExitCode.USAGE, remedy=f"build it first: {command}"
            )
    return firmware_build.Firmware(*files.values())


def _with_image(firmware: firmware_build.Firmware, given: str) -> firmware_build.Firmware:
    """The images, with the user's STM image in place of the built one.

    Raises:
        LabError: the user's image cannot be read.
    """
    if not given:
        return firmware
    image = Path(given).resolve()
    try:
        with image.open("rb"):
            pass
    except OSError as error:
        raise LabError(f"STM_IMAGE={given}: {error.strerror}", ExitCode.USAGE) from error
    return replace(firmware, mseg=image, override=image)


def _binary(given: str) -> Path:
    """The QEMU that was asked for.

    Raises:
        LabError: it does not exist, or the lab's could not be built.
    """
    if not given:
        return extended_qemu()
    found = shutil.which(given)
    if found is None:
        raise LabError(f"no QEMU: {given}", ExitCode.USAGE, remedy="set QEMU_PATH to another, or leave it empty")
    return Path(found)


def _configuration(cpu: str, binary: Path) -> Configuration:
    """Which of the lab's processors this is, by its model string, or by what the binary has."""
    if not cpu:
        return Configuration.DUAL_MONITOR if processors.has_dual_monitor(binary) else Configuration.STOCK
    if "vmx-dual-monitor=on" in cpu:
        return Configuration.DUAL_MONITOR
    return Configuration.NO_DUAL_MONITOR if "+vmx" in cpu else Configuration.STOCK


def _demonstration(request: Request, firmware: firmware_build.Firmware, binary: Path) -> int:
    """Boot the demonstration and show what it did.

    Raises:
        LabError: it did not show what it must.
    """
    configuration = _configuration(request.cpu, binary)
    run_directory = paths.new_run_dir("flash")
    guest = processors.Guest(
        qemu=binary,
        cpu=request.cpu or configuration.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=SCRIPT,
        trace=TRACE if configuration.extended else (),
        stm_image=firmware.override,
    )
    version = processors.version(binary)
    with step(f"booting the firmware on QEMU {version} ({configuration.value})"):
        ending = machine.boot(guest, run_directory)
    result = Result(run_directory, ending, read_stream(run_directory))
    booted = Booted(Course(configuration, SCRIPT), version, result)
    asked = experiment.Request()
    seen = ShellSeen(asked, firmware, (booted,))
    first_light = FirstLight()
    error = first_light.failure(seen)
    try:
        first_light.story(seen, show.console())
        error = error or experiment.failed(asked, first_light.expectations(seen))
    except RecordError as bad:
        error = error or LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED)
    print(f"machine: {binary}, QEMU {version}, {guest.cpu}\nlogs: {run_directory}", flush=True)
    if error is not None:
        error.log = run_directory
        raise error
    return 0


def _interactive(request: Request, firmware: firmware_build.Firmware, binary: Path) -> int:
    """Boot with the serial console in this terminal."""
    lines = () if request.script == PROMPT else tuple(part.strip() for part in request.script.split(";"))
    run_directory = request.output / "Run"
    run_directory.mkdir(parents=True, exist_ok=True)
    guest = processors.Guest(
        qemu=binary,
        cpu=request.cpu or _configuration("", binary).cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=tuple(line for line in lines if line),
        icount=False,
        extra=("-serial", "stdio"),
        stm_image=firmware.override,
    )
    if not "".join(guest.script).isascii():
        raise LabError("QEMU_SCRIPT must be ASCII", ExitCode.USAGE)
    # A boot writes its variable store; the build's own copy has to stay pristine.
    shutil.copyfile(guest.variables, run_directory / "OVMF_VARS.fd")
    if guest.stm_image is not None:
        shutil.copyfile(guest.stm_image, run_directory / processors.STM_IMAGE_FILE)
    (run_directory / "script").write_text("".join(f"{line}\n" for line in guest.script), encoding="ascii")
    logging.info("logs: %s", run_directory)
    return subprocess.run(processors.arguments(guest, run_directory), check=False).returncode
