# SPDX-License-Identifier: BSD-2-Clause-Patent
"""An STM of another project's: an image with the headers of the interface and nothing of ours runs as ours does.

The image is made here (images/foreign_stm.asm), in the form of edk2's own tool.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.observation import outcome
from build_scripts.observation.events import Kind, Transition
from build_scripts.stm_image import inspect_image, layout

from .conftest import BOOT_TIMEOUT_SECONDS

pytestmark = pytest.mark.boot

PROCESSORS = 2
SMIS = 3
LAUNCHES = 2
SMI_REASONS = (5, 6)
CPUID_REASON, RSM_REASON = 10, 17
DEMOS = 4
CALLS_OF_A_LAUNCH = 3  # INITIALIZE_PROTECTION, START, STOP; on the others START activates


@pytest.fixture(scope="module")
def image(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, output = checkout / "tests/boot/images/foreign_stm.asm", tmp_path_factory.mktemp("foreign") / "Foreign.mseg"
    subprocess.run(["nasm", "-f", "bin", "-o", str(output), str(source)], check=True)
    return output


@pytest.fixture(scope="module")
def booted(firmware: Firmware, image: Path) -> Result:
    """Two launches with a standby between them, each with some SMIs."""
    launch = ("ExecMon.efi start", f"SmiTool.efi b2 {SMIS}", "SmiTool.efi demo", "ExecMon.efi stop")
    script = (
        *launch,
        "SmiTool.efi demo",
        "Standby.efi s3",
        "Standby.efi report",
        *launch,
        "SmiTool.efi demo",
        "reset -s",
    )
    passed = replace(firmware, override=image)
    result = boot_configuration(Configuration.DUAL_MONITOR, passed, script, BOOT_TIMEOUT_SECONDS, processors=PROCESSORS)
    assert result.stream.errors == (), f"{result.run_dir}: {result.stream.errors}"
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    assert outcome.command_problems(result.stream) == [], result.run_dir
    return result


def transitions(result: Result, kind: Kind) -> list[Transition]:
    return [event for event in result.stream.transitions if event.kind is kind]


def test_image_is_none_of_ours(image: Path) -> None:
    """What is odd about it: all of this had been demanded."""
    report = inspect_image(image.read_bytes())
    assert report.problems == () and report.lab is None
    assert report.hardware.gdtr_base_offset != layout.GDT_OFFSET
    assert report.software.static_image_size % layout.PAGE
    assert report.hardware.cr3_offset > layout.pages(report.software.static_image_size)
    assert report.revisions == (0x80010100, layout.SMM_REVISION_ID)
    assert "no lab header" in report.text() and "0x20064" in report.text()


def test_firmware_loads_it(booted: Result, image: Path) -> None:
    first, woken = booted.stream.of("FW", "status")
    for status in (first, woken):
        assert (status.text("state"), status.text("reason")) == ("enabled", "none")
        assert (status.text("image_source"), status.text("image_problem")) == ("fw-cfg", "-")
        assert status.text("image_sha256") == sha256(image.read_bytes()).hexdigest()
    static = inspect_image(image.read_bytes()).software.static_image_size
    assert first.text("mseg_sha256") == sha256(image.read_bytes()[:static]).hexdigest()
    # Its variables are in its static part, so the wake loads it anew.
    assert woken.text("mseg_sha256") == first.text("mseg_sha256")
    assert woken.number("wakes") == 1


def test_every_processor_is_activated_and_stopped(booted: Result) -> None:
    assert Counter(event.cpu for event in transitions(booted, Kind.ACTIVATE)) == dict.fromkeys(
        range(PROCESSORS), LAUNCHES
    )
    stopped = Counter(event.cpu for event in transitions(booted, Kind.SMM_DEACTIVATE))
    assert stopped == dict.fromkeys(range(PROCESSORS), LAUNCHES)
    answers = booted.stream.of("EXEC", "stm-call")
    assert len(answers) == LAUNCHES * (CALLS_OF_A_LAUNCH + (PROCESSORS - 1) * (CALLS_OF_A_LAUNCH - 1))
    assert {answer.number("status") for answer in answers} == {0}


def test_smis_go_to_it(booted: Result) -> None:
    """Each SMI of the launches takes four transitions on each processor, and the handler runs in the STM."""
    smis = Counter(event.cpu for event in transitions(booted, Kind.SMM_EXIT) if event.basic_reason in SMI_REASONS)
    assert min(smis.values()) >= LAUNCHES * SMIS and set(smis) == set(range(PROCESSORS))
    handlers = transitions(booted, Kind.HANDLER_EXIT)
    assert Counter(event.cpu for event in handlers if event.basic_reason == RSM_REASON) == smis
    assert {event.basic_reason for event in handlers} <= {RSM_REASON, CPUID_REASON}
    returns = transitions(booted, Kind.SMM_RETURN)
    exits = transitions(booted, Kind.SMM_EXIT)
    # The call that activates is no SMM VM exit, and STOP no ordinary return.
    activations = stops = LAUNCHES * PROCESSORS
    assert len(exits) + activations == len(returns) + stops


def test_variables_are_written_under_it(booted: Result) -> None:
    """They go through SMIs, so the handlers did their work: under the STM and, after the stop, without it."""
    written = booted.stream.of("APP", "variable")
    assert len(written) == 2 * DEMOS
    assert {(record.text("written"), record.text("read_back")) for record in written} == {("1", "1")}
