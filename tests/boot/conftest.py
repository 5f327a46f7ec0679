# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots, each made once for a session: the command ``run`` for every processor, and scripts of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from build_scripts.builds.firmware_build import Firmware, build_firmware
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome
from build_scripts.observation.events import Stream, read_stream
from tests.support.carried import carry_out

OPTIONS = {
    Configuration.STOCK: ["--qemu", "stock"],
    Configuration.NO_DUAL_MONITOR: ["--no-dual-monitor"],
    Configuration.DUAL_MONITOR: [],
}
BUILD_TIMEOUT_SECONDS = 2400
BOOT_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Run:
    """One call of ``python3 -m build_scripts run --json``."""

    configuration: Configuration
    status: int
    output: str
    errors: str
    document: dict[str, Any]
    stream: Stream
    command: tuple[str, ...]


def _run(configuration: Configuration, session: Path) -> Run:
    carried = carry_out(OPTIONS[configuration], session)
    assert carried.document is not None, carried.output + carried.errors
    logs = carried.folder / "boot-00"
    return Run(
        configuration,
        carried.status,
        carried.output,
        carried.errors,
        carried.document,
        read_stream(logs),
        tuple((logs / "command").read_text(encoding="utf-8").splitlines()),
    )


@pytest.fixture(params=list(Configuration), ids=lambda value: value.value)
def any_run(request: pytest.FixtureRequest, session_folder: Path) -> Run:
    """The demonstration on each of the three processors."""
    return _run(request.param, session_folder)


@pytest.fixture
def stock_run(session_folder: Path) -> Run:
    """The demonstration on the distribution's QEMU."""
    return _run(Configuration.STOCK, session_folder)


@pytest.fixture
def plain_vmx_run(session_folder: Path) -> Run:
    """The demonstration on our QEMU without the treatment."""
    return _run(Configuration.NO_DUAL_MONITOR, session_folder)


@pytest.fixture
def stm_run(session_folder: Path) -> Run:
    """The demonstration on our QEMU with the treatment."""
    return _run(Configuration.DUAL_MONITOR, session_folder)


@pytest.fixture(scope="session")
def firmware() -> Firmware:
    """The finished images."""
    return build_firmware()


BootScript = Callable[..., Result]


@pytest.fixture
def boot_script(firmware: Firmware) -> BootScript:
    """Boots a script of one's own on a processor and returns what it left; each command must end with 0."""

    def boot(configuration: Configuration, *script: str) -> Result:
        result = boot_configuration(configuration, firmware, (*script, "reset -s"), BOOT_TIMEOUT_SECONDS)
        assert result.stream.errors == (), f"{result.run_dir}: {result.stream.errors}"
        assert result.ending.requested, f"{result.run_dir}: {result.ending}"
        assert outcome.command_problems(result.stream) == [], result.run_dir
        return result

    return boot
