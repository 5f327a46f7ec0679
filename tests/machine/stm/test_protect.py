# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the executive monitor protects: the calls of the real STM, and what its SMI handler meets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm.test_stm import HERE, Run, digest_defines, extra_arguments, read_run

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", *sorted(path.name for path in HERE.glob("protect*.c"))))
CALLS, ALONE, NESTED, MANY, PANIC, LISTS, CAPACITY, PCI, ALL = range(1, 10)
# A page of memory at 4 GB, where 64 MB of RAM leave nothing.
ABOVE_4GB = (
    *("-m", "64M,slots=1,maxmem=8G"),
    *("-object", "memory-backend-ram,id=high,size=128M"),
    *("-device", "pc-dimm,id=dimm,memdev=high,addr=0x100000000"),
)
EPT_VIOLATION = 48
# String instructions with other than 64-bit addresses in DS or ES: what is allowed, and what is not.
STRING_ADDRESSES = (
    *("outsl-fs", "outsl-fs-32-bit", "outsl-fs-protected", "outsl-fs-32-bit-protected"),
    *("insl-16-bit", "insl-16-bit-protected", "insl-16-bit-elsewhere"),
    *("insl-es-base", "insl-es-base-protected", "outsl-es-override", "outsl-es-override-protected"),
)


def image(mseg: Path, scene: int) -> Rom:
    return build_image(SOURCES, (*digest_defines(mseg), f"SCENE_PROTECT={scene}"))


def run(qemu: Path, mseg: Path, work: Path, scene: int, cpu: str = DUAL_CPU, more: tuple[str, ...] = ()) -> Run:
    extra = (*extra_arguments(work), *ABOVE_4GB, *more)
    return read_run(work, run_image(qemu, image(mseg, scene).rom, work, cpu, extra, timeout=60))


def test_calls(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Both orders of calls, each status, memory, ports and MSRs, on a firmware that handles exceptions."""
    result = run(qemu, mseg, tmp_path, CALLS)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 250
    assert result.of("crash") == []
    lists = [(record.number("pages"), record.number("status")) for record in result.of("bios-resources")]
    assert lists == [(2, 0), (1, 0)]


@pytest.mark.parametrize(
    ("scene", "code"),
    [(ALONE, 0xC000F001), (NESTED, 0xC000F002), (MANY, 0xC000F002), (PANIC, 0xC000E003)],
    ids=["no-handler", "nested", "more-than-100", "panic"],
)
def test_violation_that_nobody_mends(qemu: Path, mseg: Path, tmp_path: Path, scene: int, code: int) -> None:
    """A crash record with the code of StmStatusCode.h, and a reset."""
    result = run(qemu, mseg, tmp_path, scene)
    assert [check for check in result.outcome.checks if not check.passed] == []
    assert result.outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in result.outcome.log
    (crash,) = result.of("crash")
    assert crash.fields["class"] == "protection-exception"
    assert hex(crash.number("error")) == hex(code)
    if scene != PANIC:
        assert crash.number("reason") == EPT_VIOLATION
    if scene == NESTED:
        assert [record.number("reason") for record in result.of("exit")] == [EPT_VIOLATION] * 2
    if scene == MANY:
        # Each but the first follows the return of the exception handler: VMCALL.
        assert max(record.number("seq") for record in result.of("exit")) >= 2 * 100


def test_lists_of_the_firmware(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """One that is no good: the STM does not start, and says why; it starts with the next one that is."""
    result = run(qemu, mseg, tmp_path, LISTS)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    statuses = [record.number("status") for record in result.of("bios-resources")]
    assert [hex(status) for status in statuses] == ["0x80010017", *["0x8001000d"] * 3, "0x0"]


@pytest.mark.parametrize("cpu", [DUAL_CPU, f"{DUAL_CPU},-vmx-ept-1gb"], ids=["1gb", "no-1gb"])
def test_capacity(qemu: Path, mseg: Path, tmp_path: Path, cpu: str) -> None:
    """256 ranges in 256 regions of 2 MB, again and again; out of room changes nothing, and what is given back is used.

    Without EPT leaves of 1 GB (IA32_VMX_EPT_VPID_CAP[17] = 0), too.
    """
    result = run(qemu, mseg, tmp_path, CAPACITY, cpu)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 2000
    assert result.of("crash") == []


def test_pci(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Configuration space by ports and in memory, with the chipset's ECAM and without; paths through a bridge."""
    more = (
        "-device",
        "pcie-root-port,id=rootport,bus=pcie.0,addr=3,chassis=1",
        "-device",
        "pcie-pci-bridge,bus=rootport",
    )
    result = run(qemu, mseg, tmp_path, PCI, more=more)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 700
    assert result.of("crash") == []
    # Each of protect_strings.c, with configuration space reached by ports and in memory.
    names = Counter(check.name for check in result.outcome.checks if check.rule in ("ALLOWED", "CAUGHT"))
    assert {name: names[name] for name in STRING_ADDRESSES} == dict.fromkeys(STRING_ADDRESSES, 2)


@pytest.mark.parametrize("cpu", [DUAL_CPU, f"{DUAL_CPU},-vmx-ept-1gb"], ids=["1gb", "no-1gb"])
def test_all(qemu: Path, mseg: Path, tmp_path: Path, cpu: str) -> None:
    """Everything but what the firmware claims, by one descriptor; ports with a direction (trapped I/O)."""
    result = run(qemu, mseg, tmp_path, ALL, cpu)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 400
    assert result.of("crash") == []
