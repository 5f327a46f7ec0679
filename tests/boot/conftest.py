# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots, each made once for a session: the command ``run`` for every processor, and scripts of one's own."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware, build_firmware
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome
from build_scripts.observation.events import Stream, read_stream
from tests.support.newcomer import environment

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


@cache
def _run(configuration: Configuration, folder: Path) -> Run:
    document = folder / f"{configuration.value}.json"
    command = ["python3", "-m", "build_scripts", "run", *OPTIONS[configuration], "--json", str(document)]
    result = subprocess.run(
        command,
        cwd=paths.CHECKOUT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )
    assert document.is_file(), result.stdout + result.stderr
    logs = re.search(r"^logs: (.+)$", result.stdout, re.MULTILINE)
    assert logs is not None, result.stdout + result.stderr
    return Run(
        configuration,
        result.returncode,
        result.stdout,
        result.stderr,
        json.loads(document.read_text()),
        read_stream(Path(logs[1])),
        tuple((Path(logs[1]) / "command").read_text(encoding="utf-8").splitlines()),
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(params=list(Configuration), ids=lambda value: value.value)
def any_run(request: pytest.FixtureRequest, run_folder: Path) -> Run:
    """The demonstration on each of the three processors."""
    return _run(request.param, run_folder)


@pytest.fixture
def stock_run(run_folder: Path) -> Run:
    """The demonstration on the distribution's QEMU."""
    return _run(Configuration.STOCK, run_folder)


@pytest.fixture
def plain_vmx_run(run_folder: Path) -> Run:
    """The demonstration on our QEMU without the treatment."""
    return _run(Configuration.NO_DUAL_MONITOR, run_folder)


@pytest.fixture
def stm_run(run_folder: Path) -> Run:
    """The demonstration on our QEMU with the treatment."""
    return _run(Configuration.DUAL_MONITOR, run_folder)


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
