# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``run --stm-image``: the firmware runs the image that it is passed, or says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from build_scripts.builds import stm_build
from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import Configuration
from build_scripts.stm_image import inspect_image, layout

from .test_errors import run_command


def padding_offset(data: bytes) -> int:
    """The last byte of the read-only data: read by nobody, but part of both hashes."""
    return inspect_image(data).software.static_image_size - 1


@pytest.fixture
def changed_image(firmware: Firmware, tmp_path: Path) -> Path:
    """A working image that is no firmware's."""
    data = bytearray(firmware.mseg.read_bytes())
    place = padding_offset(bytes(data))
    assert data[place] == 0
    data[place] = 0x5A
    path = tmp_path / "changed, with a comma.mseg"
    path.write_bytes(data)
    return path


def test_the_module_alone_gives_the_image_of_the_firmware(firmware: Firmware) -> None:
    """What the inner loop builds is what a whole build puts into the firmware volume."""
    assert (stm_build.build_stm() / "Stm.mseg").read_bytes() == firmware.mseg.read_bytes()


def test_the_image_passed_is_what_runs(firmware: Firmware, changed_image: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    result = run_command(["run", "--processors", "2", "--stm-image", str(changed_image), "--json", str(facts)])
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    document = json.loads(facts.read_text())
    assert document["firmware"]["image_source"] == "fw-cfg"
    assert document["firmware"]["image_sha256"] == sha256(changed_image.read_bytes()).hexdigest()
    assert document["firmware"]["image_sha256"] != sha256(firmware.mseg.read_bytes()).hexdigest()
    assert "passed by fw_cfg" in result.stdout
    assert any(smi["treatment"] == "dual-monitor" and smi["transitions"] == 4 for smi in document["smis"])
    # Each activation has found MSEG as the loader left it: run() compares, and this is what it compares with.
    assert document["activations"] == 2 * document["processors"] == 4


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "image-malformed"),
        (lambda data: bytes(len(data)), "image-malformed"),
        (lambda data: data + bytes(0x200000), "image-too-large"),
    ],
    ids=["empty", "zeroed", "too large"],
)
def test_a_bad_image_is_refused_and_none_other_runs(
    changed_image: Path, damage: object, reason: str, tmp_path: Path
) -> None:
    assert callable(damage)
    changed_image.write_bytes(damage(changed_image.read_bytes()))
    facts = tmp_path / "facts.json"
    result = run_command(["run", "--stm-image", str(changed_image), "--json", str(facts)])
    assert result.returncode == ExitCode.EXPECTATION_FAILED, result.stdout + result.stderr
    assert reason in result.stderr
    firmware = json.loads(facts.read_text())["firmware"]
    assert (firmware["state"], firmware["reason"], firmware["image_source"]) == ("refused", reason, "fw-cfg")
    assert firmware["mseg_sha256"] is None


def test_an_image_without_room_for_every_processor(firmware: Firmware, changed_image: Path) -> None:
    """Refused on all of them, and the status says how many fit."""
    data = bytearray(changed_image.read_bytes())
    # Of SOFTWARE_STM_HEADER: bytes for each processor.
    place = layout.SOFTWARE_HEADER_OFFSET + layout.SoftwareHeader.offsets()["PerProcDynamicMemorySize"]
    data[place : place + 4] = (0xC_0000).to_bytes(4, "little")
    changed_image.write_bytes(data)
    passed = replace(firmware, override=changed_image)
    script = ("StmStatus.efi", "ExecMon.efi start", "reset -s")
    result = boot_configuration(Configuration.DUAL_MONITOR, passed, script, 120.0, processors=3)
    status = result.stream.of("FW", "status")[0]
    assert (status.fields["state"], status.fields["reason"]) == ("refused", "image-too-large")
    assert (status.number("processors"), status.number("processors_fit")) == (3, 2)
    assert "processors:   3, MSEG has room for 2" in (result.run_dir / "console.log").read_text(errors="replace")
    assert result.stream.of("STM", "init") == []


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    for path, cause in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        result = run_command(["run", "--stm-image", str(path)])
        assert result.returncode == ExitCode.USAGE
        assert f"--stm-image {path}" in result.stderr and cause in result.stderr
        assert "Traceback" not in result.stderr
