# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware runs the STM that was built for it: another image in the flash is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import boot_configuration
from build_scripts.machine.processors import Configuration
from tests.support import volume

pytestmark = pytest.mark.boot

TIMEOUT_SECONDS = 180.0


def changed_flash(firmware: Firmware, work: Path) -> Path:
    """The flash with an STM image in which one byte differs that nobody reads: nothing but the digest tells."""
    image = firmware.mseg.read_bytes()
    end = len(image.rstrip(b"\0"))
    old = image[end - 48 : end + 16]
    path = work / "OVMF_CODE.fd"
    path.write_bytes(volume.change(firmware.code.read_bytes(), old, old[:-1] + b"\x5a"))
    return path


def test_another_image_in_the_flash(firmware: Firmware, tmp_path: Path) -> None:
    """A state with a reason, MSR 9BH stays invalid, UEFI goes on; a status that says otherwise changes nothing."""
    changed = replace(firmware, code=changed_flash(firmware, tmp_path))
    script = (
        *("ExecMon.efi start", "SmiTool.efi b2 2", "ExecMon.efi stop"),
        *("GuestTool.efi forge-status", "ExecMon.efi start", "ExecMon.efi stop", "StmStatus.efi", "reset -s"),
    )
    result = boot_configuration(Configuration.DUAL_MONITOR, changed, script, TIMEOUT_SECONDS)
    assert result.ending.requested, f"{result.run_dir}: {result.ending}"
    (status,) = result.stream.of("FW", "status")
    assert (status.text("state"), status.text("reason")) == ("refused", "image-digest")
    assert (status.text("image_source"), status.text("image_problem")) == ("firmware-volume", "-")
    assert [record.text("reason") for record in result.stream.of("EXEC", "no-stm")] == ["image-digest", "not-announced"]
    assert "state:        enabled" in (result.run_dir / "console.log").read_text(errors="replace")
    assert result.stream.of("STM", "init") == []
    assert len(result.stream.of("EXEC", "vmxon")) == 2
