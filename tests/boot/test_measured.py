# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A boot beside a TPM: the STM image is in the register and in the log."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.builds.stm_build import firmware_to_boot
from build_scripts.experiments import document
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine import tpm
from build_scripts.machine.processors import Configuration
from build_scripts.observation.events import Stream
from build_scripts.observation.measurements import measurements, registers, replayed
from tests.support.carried import Carried, carry_out
from tests.support.failing_tpm import REFUSED_LOG, write_program
from tests.support.left import processes_in

from .conftest import BOOT_TIMEOUT_SECONDS

pytestmark = pytest.mark.boot


@pytest.fixture(scope="module")
def run(session_folder: Path) -> Carried:
    """The run of the page, and no other boot."""
    carried = carry_out(("measured",), session_folder)
    assert carried.status == 0, carried.output + carried.errors
    return carried


@pytest.fixture(scope="module")
def stream(run: Carried) -> Stream:
    (found,) = run.streams
    return found


def test_every_expectation_is_met(run: Carried) -> None:
    document.validate(run.document)
    assert [expectation for expectation in run.document["expectations"] if not expectation["passed"]] == []


def test_neither_machine_nor_tpm_is_left(run: Carried) -> None:
    """Both run in the run's directory; the TPM's socket went with it."""
    (folder,) = re.findall(r"^logs: (.+)$", run.output, re.MULTILINE)
    assert (Path(folder) / "tpm.log").is_file(), "no TPM was there"
    assert processes_in(Path(folder)) == []
    assert not (Path(folder) / "tpm.sock").exists()


def test_the_log_leads_to_the_register_and_not_without_the_image(stream: Stream) -> None:
    """PCR 0 is what the log's events make of zeros; the image is one of them, by its hash, and it is needed."""
    log = measurements(stream)
    told = registers(stream)
    assert replayed(log)[0] == told[0] != "00" * 32
    assert sorted(told) == list(range(8))
    (status,) = stream.of("FW", "status")
    assert status.text("measured") == "yes"
    (image,) = [event for event in log if event.about_the_image]
    assert (image.pcr, image.sha256) == (0, hashlib.sha256(firmware_to_boot().mseg.read_bytes()).hexdigest())
    assert replayed(tuple(event for event in log if event is not image))[0] != told[0]


def test_a_tpm_that_takes_no_digest(firmware: Firmware, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PEI gives it up, and its driver does not start: the loader runs all the same, and its status says so."""
    program = write_program(tmp_path, tpm.program())
    monkeypatch.setattr(tpm, "program", lambda: str(program))
    script = ("StmStatus.efi", "reset -s")
    result = boot_configuration(Configuration.STOCK, firmware, script, BOOT_TIMEOUT_SECONDS, tpm=True)
    assert result.ending.requested, result.run_dir
    assert (result.run_dir / REFUSED_LOG).read_text().count("\n") >= 1, "nothing was refused"
    (status,) = result.stream.of("FW", "status")
    assert status.text("measured") == "failed"
    console = (result.run_dir / "console.log").read_text(encoding="utf-8", errors="replace")
    assert re.search(r"^measured: +failed", console, re.MULTILINE)
    assert processes_in(result.run_dir) == []
