# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One boot of the firmware into the UEFI Shell: which machine, which images, which commands, and what it recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.builds.qemu_build import BINARY, extended_qemu
from build_scripts.builds.stm_build import firmware_to_boot
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import processors
from build_scripts.machine.machine import DEFAULT_TIMEOUT_SECONDS, Ending, boot
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.machine.tpm import Tpm
from build_scripts.observation.events import Record, Stream, read_stream
from build_scripts.observation.follow import Follower
from build_scripts.observation.report import Smi

TRACE = ("vmx_*",)
# What the STM's SMI handler touches; thousands of lines, so only where they are asked for.
ACCESSES = "smm_handler_access"
FIRMWARE_LOG = "firmware.log"
# EDK II's last words at a wake (S3Resume2Pei).
WAKING_VECTOR = "OS waking vector"


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


def find_firmware(image: Path | None) -> Firmware:
    """The images to boot; what the user's STM image replaces is not built.

    Args:
        image: the user's STM image, if he named one.
    Raises:
        LabError: a build failed, or the user's image cannot be read.
    """
    if image is None:
        return firmware_to_boot()
    try:
        with image.open("rb"):
            pass
    except OSError as error:
        raise LabError(f"--stm-image {image}: {error.strerror}", ExitCode.USAGE) from error
    return replace(firmware_to_boot(need_stm=False), mseg=image, override=image)


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


def boot_configuration(
    configuration: Configuration,
    firmware: Firmware,
    script: tuple[str, ...],
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    extra: tuple[str, ...] = (),
    *,
    processors: int = 1,
    told: Callable[[Record], None] | None = None,
    told_smi: Callable[[Smi], None] | None = None,
    dies_at_wake: bool = False,
    observed: bool = False,
    tpm: bool = False,
) -> Result:
    """Boot the firmware on one kind of processor and read what it recorded.

    Args:
        script: shell commands; the last should end the guest.
        timeout: in seconds.
        extra: further QEMU arguments.
        processors: how many; instructions are counted only if there is one, since a count is of all together.
        told: called for each record while the guest runs.
        told_smi: with `told`: called for each SMI that has come to its end.
        dies_at_wake: a guest that halts for good where the firmware hands over at a wake has come to its end.
        observed: trace what the STM's SMI handler touches.
        tpm: the machine has a TPM 2.0.
    """
    guest = Guest(
        qemu=find_qemu(configuration),
        cpu=configuration.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=script,
        processors=processors,
        icount=processors == 1,
        trace=(*TRACE, *((ACCESSES,) if observed else ())) if configuration.extended else (),
        extra=extra,
        stm_image=firmware.override,
    )
    run_dir = paths.new_run_dir(configuration.value)
    follower = Follower(run_dir, told, told_smi) if told is not None else None

    def handed_over() -> bool:
        log = run_dir / FIRMWARE_LOG
        return log.is_file() and WAKING_VECTOR in log.read_text(encoding="utf-8", errors="replace")

    watch = follower.poll if follower is not None else None
    with ExitStack() as beside:
        if tpm:
            guest = replace(guest, extra=(*guest.extra, *beside.enter_context(Tpm(run_dir))))
        ending = boot(guest, run_dir, timeout, watch, handed_over if dies_at_wake else None)
    return Result(run_dir, ending, read_stream(run_dir))
