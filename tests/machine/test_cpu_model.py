# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the extended QEMU accepts as a processor model."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import qemu_arguments, run_image
from build_scripts.conformance.image_table import DUAL_CPU, STOCK_CPU, VMX_CPU


def _start(qemu: Path, work: Path, cpu: str) -> subprocess.CompletedProcess[str]:
    rom = build_image(("t_platform.c",)).rom
    arguments = qemu_arguments(qemu, rom, work / "log", cpu)
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("cpu", ["max,+vmx", "max,vendor=GenuineIntel,-la57,+vmx,vmx-dual-monitor=on"])
def test_vmx_with_svm_is_refused(qemu: Path, tmp_path: Path, cpu: str) -> None:
    """Both cannot be offered together: one clear error, no start."""
    done = _start(qemu, tmp_path, cpu)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "VMX" in line and "SVM" in line]
    assert len(errors) == 1


def test_vmx_with_5_level_paging_is_refused(qemu: Path, tmp_path: Path) -> None:
    """The canonical form of addresses is that of 48 bits: one clear error, no start."""
    done = _start(qemu, tmp_path, "max,-svm,+vmx")
    assert done.returncode == 1
    assert "5-level paging; add '-la57'" in done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("intel", "SMIs write AMD64's SMRAM state save map (revision 0x20064) only; Intel's is not implemented"),
        ("arm", "vmx-smm-map=arm: there are 'amd64' and 'intel'"),
    ],
)
def test_another_save_state_map_is_refused(qemu: Path, tmp_path: Path, name: str, said: str) -> None:
    """Who asks for a map that SMIs do not write is told so, in place of a firmware that reads nonsense."""
    done = _start(qemu, tmp_path, f"{DUAL_CPU},vmx-smm-map={name}")
    assert done.returncode == 1
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("cpu", ["max", STOCK_CPU, VMX_CPU, DUAL_CPU, f"{DUAL_CPU},vmx-smm-map=amd64"])
def test_models_start_without_a_word(qemu: Path, tmp_path: Path, cpu: str) -> None:
    """Our models and the plain ones give no warning about features."""
    done = _start(qemu, tmp_path, cpu)
    assert "warning" not in done.stderr
    assert "VMX" not in done.stderr


@pytest.mark.parametrize("cpu", ["max", STOCK_CPU, f"{STOCK_CPU},vmx-dual-monitor=on"])
def test_vmx_is_never_automatic(qemu: Path, tmp_path: Path, cpu: str) -> None:
    """Only +vmx turns VMX on: CR4.VMXE is reserved and raises #GP otherwise."""
    rom = build_image(("t_defects.c",), ("DEFECT=2",)).rom
    assert not run_image(qemu, rom, tmp_path, cpu).problems(False)
