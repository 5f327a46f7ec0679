# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The distribution's other kernels as guests of the executive monitor, and their compressed modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.builds.firmware_build import build_firmware
from build_scripts.linux import kernel
from build_scripts.linux.boot import boot_linux

from .conftest import BOOT_TIMEOUT_SECONDS, BootExecutive, checked
from .test_sleep import asked, assert_monitor_returned, new_lines

OTHERS = [name for name in kernel.PINS if name != kernel.DEFAULT]
MODULES = ["irqbypass.ko", "kvm.ko", "kvm-intel.ko"]


@pytest.mark.parametrize("linux", OTHERS)
def test_guest_of_the_executive_monitor(linux: str, boot_executive: BootExecutive) -> None:
    """All that is asked of the default kernel, before and after a night in S3."""
    guest = boot_executive(options="-return", settings=asked("deep"), icount=True, linux=linux)
    assert_monitor_returned(guest, checked(guest), nights=1, processors=2)
    (boot,) = guest.named("boot")
    assert boot.fields["kernel"].startswith(f"{kernel.PINS[linux].series}.") and "cloud" not in boot.fields["kernel"]
    assert [module.fields["error"] for module in guest.named("module")] == ["0", "0"]
    plain = boot_executive(monitor=False, settings=asked("deep"), icount=True, linux=linux)
    checked(plain)
    assert new_lines(guest, plain) == []


def test_compressed_modules_of_kvm(qemu: Path) -> None:
    """The distribution compresses the modules of its newer kernels; they depend on one another."""
    run = boot_linux(
        qemu, build_firmware(), kernel.locate("backports"), ("lab.steps=none",), timeout=BOOT_TIMEOUT_SECONDS
    )
    assert run.ending.requested and run.named("end"), f"{run.run_dir}: {run.ending}"
    found = {module.fields["name"]: module.fields["error"] for module in run.named("module")}
    assert [found.get(name) for name in MODULES] == ["0"] * len(MODULES), run.run_dir
