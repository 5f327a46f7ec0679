# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The machine's debug console with ``secure=on``: it takes what code in SMM writes, and nothing else."""

from __future__ import annotations

from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import VMX_CPU


def test_only_smm_writes(qemu: Path, tmp_path: Path) -> None:
    """Not native code, VMX root operation or a guest; the console beside it shows that they did write."""
    secure, other = tmp_path / "secure", tmp_path / "other"
    extra = (
        *("-chardev", f"file,id=secure,path={secure}", "-device", "isa-debugcon,iobase=0x403,chardev=secure,secure=on"),
        *("-chardev", f"file,id=other,path={other}", "-device", "isa-debugcon,iobase=0x404,chardev=other"),
    )
    outcome = run_image(qemu, build_image(("t_record_port.c",)).rom, tmp_path, VMX_CPU, extra)
    assert outcome.problems(expect_shutdown=False) == []
    assert len(outcome.checks) >= 5
    assert other.read_text(encoding="ascii") == "nsrgs"
    assert secure.read_text(encoding="ascii") == "ss"
