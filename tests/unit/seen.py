# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What an experiment has seen, made of synthetic logs instead of boots."""

from __future__ import annotations

from pathlib import Path

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.experiment import Expectation, Request
from build_scripts.experiments.shell import Result
from build_scripts.experiments.shell_experiment import Booted, Course, ShellSeen
from build_scripts.machine.machine import Ending
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import read_stream

from .streams import Logs

GOOD_END = Ending("guest-shutdown", 0, 10.0)


def booted(logs: Logs, configuration: Configuration = Configuration.DUAL_MONITOR) -> Booted:
    """One boot that left these logs."""
    run_dir = logs.write()
    return Booted(Course(configuration, ()), "10.0", Result(run_dir, GOOD_END, read_stream(run_dir)))


def seen(folder: Path, *boots: Booted, request: Request | None = None) -> ShellSeen:
    """What several boots left."""
    return ShellSeen(request or Request(), Firmware.in_folder(folder), boots)


def complaints(expectations: list[Expectation]) -> str:
    """All that failed, in words."""
    return "\n".join(expectation.complaint() for expectation in expectations if not expectation.passed)
