# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Boots of the distribution's kernel, each made once for a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from build_scripts.builds import qemu_build
from build_scripts.builds.firmware_build import build_firmware
from build_scripts.linux import kernel
from build_scripts.linux.boot import LinuxRun, boot_linux
from build_scripts.linux.executive import LinuxGuest, boot_guest
from build_scripts.observation.events import Stream, read_stream

from .expected import RELOADS

BOOT_TIMEOUT_SECONDS = 600.0
# Words of the kernel's command line. The first of all is the processor as it is.
VARIANTS = {
    "default": (),
    "no-unrestricted-guest": ("kvm_intel.unrestricted_guest=0",),
    "no-ept": ("kvm_intel.ept=0",),
    "smis": ("lab.smi=1", "lab.steps=kvm"),
    # Both processors in one thread, in turn, with instructions counted.
    "icount": ("lab.steps=kvm",),
    "reloads": ("lab.steps=reload", f"lab.reload={';'.join(RELOADS)}"),
}
Boot = Callable[[str], LinuxRun]
BootExecutive = Callable[..., LinuxRun]


@pytest.fixture(scope="session")
def qemu() -> Path:
    """The extended QEMU: STMLAB_QEMU, else what the lab has built or builds."""
    named = os.environ.get("STMLAB_QEMU")
    if not named:
        return qemu_build.extended_qemu()
    path = Path(named)
    if not path.exists():
        pytest.fail(f"STMLAB_QEMU={named} does not exist", pytrace=False)
    return path


@pytest.fixture(scope="session")
def boot(qemu: Path) -> Boot:
    """Boots a variant, once; a boot that does not end by itself is a failure of all that ask for it."""

    @cache
    def run(variant: str) -> LinuxRun:
        counted, words = variant == "icount", VARIANTS[variant]
        firmware, linux = build_firmware(), kernel.locate()
        return boot_linux(qemu, firmware, linux, words, icount=counted, timeout=BOOT_TIMEOUT_SECONDS)

    def checked(variant: str) -> LinuxRun:
        result = run(variant)
        assert result.ending.requested and result.named("end"), f"{result.run_dir}: {result.ending}"
        return result

    return checked


@pytest.fixture(scope="session")
def boot_executive(qemu: Path) -> BootExecutive:
    """Boots below the executive monitor, or without it; once for each set of arguments."""

    @cache
    def run(
        processors: int = 2,
        monitor: bool = True,
        options: str = "",
        settings: tuple[str, ...] = (),
        icount: bool = False,
        linux: str = kernel.DEFAULT,
        timeout: float = BOOT_TIMEOUT_SECONDS,
    ) -> LinuxRun:
        guest = LinuxGuest(
            qemu,
            build_firmware(),
            kernel.locate(linux),
            processors=processors,
            monitor=monitor,
            options=options,
            settings=settings,
            icount=icount,
        )
        return boot_guest(guest, timeout)

    return run


def checked(run: LinuxRun, ends: bool = True) -> Stream:
    """The records of a boot in which nothing crashed.

    Args:
        run: the boot.
        ends: whether process 1 must have come to its end.
    """
    stream = read_stream(run.run_dir)
    assert [record for record in stream.records if record.event == "crash"] == [], run.run_dir
    assert run.panic == "" and bool(run.named("end")) == ends, f"{run.run_dir}: {run.ending} {run.panic}"
    return stream
