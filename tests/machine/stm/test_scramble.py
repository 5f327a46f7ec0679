# SPDX-License-Identifier: BSD-2-Clause-Patent
"""SMI handlers that change every register: under the real STM nothing of it is left for the interrupted side."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import Check, run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm.test_stm import HERE, Run, digest_defines, extra_arguments, read_run

# What the STM must give back, by its name in the SDM, and what is compared over an SMI: a register, an MSR, or the
# state component of XSAVE (SDM "XSAVE-Supported Features and State-Component Bitmaps", 13.1).
REGISTERS: dict[str, tuple[str | int, ...]] = {
    "CR0.CD, CR0.NW": ("cr0",),
    "CR2": ("cr2",),
    "CR3": ("cr3",),
    "CR4": ("cr4",),
    "CR8": ("cr8",),
    "DR0 to DR3": ("dr0", "dr1", "dr2", "dr3"),
    "DR6, DR7": ("dr6", "dr7"),
    "XCR0": ("xcr0",),
    "IA32_XSS": ("xss",),
    "IA32_EFER": (0xC000_0080,),
    "IA32_STAR": (0xC000_0081,),
    "IA32_LSTAR": (0xC000_0082,),
    "IA32_CSTAR": (0xC000_0083,),
    "IA32_FMASK": (0xC000_0084,),
    "IA32_FS_BASE, IA32_GS_BASE": (0xC000_0100, 0xC000_0101),
    "IA32_KERNEL_GS_BASE": (0xC000_0102,),
    "IA32_TSC_AUX": (0xC000_0103,),
    "IA32_PAT": (0x277,),
    "IA32_DEBUGCTL": (0x1D9,),
    "IA32_SYSENTER_CS, _ESP, _EIP": (0x174, 0x175, 0x176),
    "IA32_MISC_ENABLE": (0x1A0,),
    "MTRRs": (0x200, 0x201, 0x20E, 0x213, 0x250, 0x258, 0x268, 0x26F, 0x2FF),
    "x87, SSE": ("x87-sse",),
}
# Compared whole, in the area that XSAVE writes. AVX-512 (components 5 to 7) the machine does not have: TCG emulates
# none of it, so that nothing can be observed. Where a processor has it, the same comparison covers it.
COMPONENTS = {"AVX": 2, "MPX": 3, "PKRU": 9}
AVX_512 = (5, 6, 7)

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "scramble.c"))


def image(mseg: Path) -> Rom:
    return build_image(SOURCES, digest_defines(mseg))


@pytest.fixture(scope="module")
def scrambled(qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    work = tmp_path_factory.mktemp("scramble")
    outcome = run_image(qemu, image(mseg).rom, work, DUAL_CPU, extra_arguments(work), timeout=60)
    return read_run(work, outcome)


def compared(run: Run, where: str, what: str | int) -> list[Check]:
    """The comparisons of a register over an SMI; an MSR's has its number first."""
    mine = [check for check in run.outcome.checks if check.rule == where]
    if isinstance(what, str):
        return [check for check in mine if check.name == what]
    return [check for check in mine if check.name == "msr" and check.detail.startswith(f"{what:#x}:")]


@pytest.mark.parametrize("where", ["ROOT", "GUEST"])
@pytest.mark.parametrize("name", REGISTERS)
def test_register_is_compared(scrambled: Run, name: str, where: str) -> None:
    """Each of the list, after a handler that has tried to change it."""
    for what in REGISTERS[name]:
        assert [check.passed for check in compared(scrambled, where, what)] == [True], f"{name}: {what}"


@pytest.mark.parametrize("name", COMPONENTS)
def test_component_is_there_and_compared(scrambled: Run, name: str) -> None:
    there = {check.detail: check.passed for check in scrambled.outcome.checks if check.name == "component"}
    assert f"{COMPONENTS[name]}: 1" in there
    areas = [
        check for check in scrambled.outcome.checks if check.rule == "EXTENDED" and check.name in ("ROOT", "GUEST")
    ]
    assert sorted((check.name, check.passed) for check in areas) == [("GUEST", True), ("ROOT", True)]


def test_machine_has_no_avx_512(scrambled: Run) -> None:
    """If it gets it, the list of components is to grow."""
    found = {check.detail for check in scrambled.outcome.checks if check.name == "component"}
    assert {f"{number}: 0" for number in AVX_512} <= found


def test_stop_leaves_monitor_ctl_as_start_found_it(scrambled: Run) -> None:
    """MSR 9BH, to which a handler has tried to write in between."""
    (restored,) = [check for check in scrambled.outcome.checks if check.name == "monitor-ctl-restored"]
    assert restored.passed, restored
    assert [check.passed for check in compared(scrambled, "ROOT", 0x9B)] == [True]


def test_registers_come_back(scrambled: Run) -> None:
    """In root operation and in a guest: control and debug registers, MSRs, x87, SSE, AVX, MPX, PKRU."""
    assert scrambled.outcome.problems(expect_shutdown=False) == []
    names = [check.rule for check in scrambled.outcome.checks]
    assert names.count("ROOT") == names.count("GUEST") - 1 > 40
    assert scrambled.of("crash") == []
