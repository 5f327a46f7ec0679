# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the executive monitor protects: the calls of the real STM, and what its SMI handler meets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import Rom, build_image
from build_scripts.conformance.image_run import parse_log, run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.processes import wait
from build_scripts.stm_image import inspect_image, layout
from tests.machine.stm.test_stm import (
    ENTRY_POINTS,
    HANDLER_EXIT,
    HERE,
    MSEG_BASE,
    VMX_REASON_IO,
    Run,
    address_of,
    debugged,
    digest_defines,
    extra_arguments,
    read_run,
    smi_groups,
)

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", *sorted(path.name for path in HERE.glob("protect*.c"))))
CALLS, ALONE, NESTED, MANY, PANIC, LISTS, CAPACITY, PCI, ALL, STEP, FLAGS, NOT_WANTED, FRAME, LEAST = range(1, 15)
# Kinds of violation in the order of their flags in the PSD, and a stack of the handler's that is not in its SMRAM.
KINDS = ("page", "msr", "register", "io", "pci")
# A page of memory at 4 GB, where 64 MB of RAM leave nothing.
ABOVE_4GB = (
    *("-m", "64M,slots=1,maxmem=8G"),
    *("-object", "memory-backend-ram,id=high,size=128M"),
    *("-device", "pc-dimm,id=dimm,memdev=high,addr=0x100000000"),
)
# IA32_VMX_EPT_VPID_CAP[17] = 0.
NO_1GB = f"{DUAL_CPU},-vmx-ept-1gb"
EPT_VIOLATION = 48
#: In SMRAM, which ends with MSEG: protect_step.c.
STEP_CODE = MSEG_BASE - 0x60_0000 + 0x5_A000
INSB_AND_RET, RSM = bytes.fromhex("6cc3"), bytes.fromhex("0faa")
#: With and without the snapshot policy, under which memory outside SMRAM is closed until it is touched: what is
#: protected is the same.
POLICIES = pytest.mark.parametrize("snapshot", [0, 96], ids=["as-it-is", "snapshot"])
# String instructions with other than 64-bit addresses in DS or ES: what is allowed, and what is not.
STRING_ADDRESSES = (
    *("outsl-fs", "outsl-fs-32-bit", "outsl-fs-protected", "outsl-fs-32-bit-protected"),
    *("insl-16-bit", "insl-16-bit-protected", "insl-16-bit-elsewhere"),
    *("insl-es-base", "insl-es-base-protected", "outsl-es-override", "outsl-es-override-protected"),
)


def image(mseg: Path, scene: int, *defines: str) -> Rom:
    return build_image(SOURCES, (*digest_defines(mseg), f"SCENE_PROTECT={scene}", *defines))


def run(
    qemu: Path, mseg: Path, work: Path, scene: int, cpu: str = DUAL_CPU, more: tuple[str, ...] = (),
    defines: tuple[str, ...] = (),
) -> Run:  # fmt: skip
    extra = (*extra_arguments(work), *ABOVE_4GB, *more)
    return read_run(work, run_image(qemu, image(mseg, scene, *defines).rom, work, cpu, extra, timeout=60))


@POLICIES
def test_calls(qemu: Path, mseg: Path, tmp_path: Path, snapshot: int) -> None:
    """Both orders of calls, each status, memory, ports and MSRs, on a firmware that handles exceptions."""
    result = run(qemu, mseg, tmp_path, CALLS, defines=(f"SNAPSHOT={snapshot}",))
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 250
    assert result.of("crash") == []
    lists = [(record.number("pages"), record.number("status")) for record in result.of("bios-resources")]
    assert lists == [(2, 0), (1, 0)]


@pytest.mark.parametrize(
    ("scene", "code"),
    [
        *((ALONE, 0xC000F001), (NESTED, 0xC000F002), (MANY, 0xC000F002)),
        *((PANIC, 0xC000E001), (PANIC, 0xC000E003), (PANIC, 0xC000E00F)),
    ],
    ids=["no-handler", "nested", "more-than-100", "panic-1", "panic-3", "panic-15"],
)
def test_violation_that_nobody_mends(qemu: Path, mseg: Path, tmp_path: Path, scene: int, code: int) -> None:
    """A crash record with the code of StmStatusCode.h, and a reset."""
    result = run(qemu, mseg, tmp_path, scene, defines=(f"PANIC_CHOICE={code & 15}u",))
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


def test_each_kind_of_violation_has_a_flag(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """A firmware that handles one kind only gets that one."""
    result = run(qemu, mseg, tmp_path, FLAGS)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    assert {check.name for check in result.outcome.checks if check.rule == "CAUGHT"} == set(KINDS)


@pytest.mark.parametrize("which", [*KINDS, "stack-outside"])
def test_violation_that_is_not_wanted(qemu: Path, mseg: Path, tmp_path: Path, which: str) -> None:
    """A kind without its flag, while another one is handled; a stack that the STM must not write to."""
    number = (*KINDS, "stack-outside").index(which) + 1
    result = run(qemu, mseg, tmp_path, NOT_WANTED, defines=(f"NOT_WANTED={number}",))
    assert [check for check in result.outcome.checks if not check.passed] == []
    assert [check.name for check in result.outcome.checks if check.rule == "CAUGHT"] == ["other-kind"] * (number <= 5)
    assert result.outcome.status == 0, "the machine ends by a reset under -no-reboot"
    assert "PANIC" not in result.outcome.log
    (crash,) = result.of("crash")
    assert crash.fields["class"] == "protection-exception"
    assert hex(crash.number("error")) == hex(0xC000_F002 if which == "stack-outside" else 0xC000_F001)


def test_frame_of_an_exception(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Each register of it, as the STM writes it and as the return takes it; page tables outside SMRAM it does not."""
    result = run(qemu, mseg, tmp_path, FRAME)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    registers = Counter(check.name for check in result.outcome.checks if check.rule == "FRAME-REGISTER")
    assert registers == {"in-the-frame": 15, "from-the-frame": 15}


def test_lists_of_the_firmware(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """One that is no good: the STM does not start, and says why; it starts with the next one that is."""
    result = run(qemu, mseg, tmp_path, LISTS)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    statuses = [record.number("status") for record in result.of("bios-resources")]
    assert [hex(status) for status in statuses] == ["0x80010017", *["0x8001000d"] * 3, "0x0"]


@pytest.mark.parametrize("cpu", [DUAL_CPU, NO_1GB], ids=["1gb", "no-1gb"])
def test_capacity(qemu: Path, mseg: Path, tmp_path: Path, cpu: str) -> None:
    """256 ranges in 256 regions of 2 MB, again and again; out of room changes nothing, and what is given back is used.

    Without EPT leaves of 1 GB (IA32_VMX_EPT_VPID_CAP[17] = 0), too.
    """
    result = run(qemu, mseg, tmp_path, CAPACITY, cpu)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 2000
    assert result.of("crash") == []


@pytest.mark.parametrize(("cpu", "pages", "more"), [(DUAL_CPU, 1, 0), (NO_1GB, 1, 3)], ids=["1gb", "no-1gb"])
def test_mseg_no_larger_than_needed(qemu: Path, mseg: Path, tmp_path: Path, cpu: str, pages: int, more: int) -> None:
    """As many pages as there are tables for, then ERROR_STM_OUT_OF_RESOURCES; no room for a second page of a list.

    Without EPT leaves of 1 GB the fourth GB takes the table that there is, so it takes three pages more, of which the
    ring has two.
    """
    size = layout.needed_size(inspect_image(mseg.read_bytes()).software, 1) + more * layout.PAGE
    result = run(qemu, mseg, tmp_path, LEAST, cpu, defines=(f"MSEG_BYTES={size}",))
    assert result.outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    found = [(record.number("pages"), hex(record.number("status"))) for record in result.of("bios-resources")]
    assert found == [(0, "0x80010015"), *[(1, "0x0")] * 2]
    # Twice in each of two sessions, and two checks each.
    assert [check.name for check in result.outcome.checks].count("given-back") == 8 * pages


@pytest.mark.parametrize(("cpu", "snapshot"), [(DUAL_CPU, 0), (NO_1GB, 8)], ids=["1gb", "no-1gb-snapshot"])
def test_mseg_across_2_mb_is_refused(qemu: Path, mseg: Path, tmp_path: Path, cpu: str, snapshot: int) -> None:
    """Where the boundary takes more tables than the needed size has pages for: no reset, and a record says why."""
    # A top table of the processor and one more, and a page that tells what the copies are of.
    more = (snapshot + 3) * layout.PAGE if snapshot else 0
    size = layout.needed_size(inspect_image(mseg.read_bytes()).software, 1) + more
    base = f"MSEG_BASE=0x{MSEG_BASE - 2 * layout.PAGE:x}u"
    defines = (base, f"MSEG_BYTES={size}", f"SNAPSHOT={snapshot}", "MSEG_REFUSED=1")
    result = run(qemu, mseg, tmp_path, LEAST, cpu, defines=defines)
    assert result.outcome.problems(expect_shutdown=False) == []
    assert [check.name for check in result.outcome.checks].count("few-tables") == 4
    assert result.of("crash") == []
    refused = [(record.text("reason"), record.number("pages")) for record in result.of("refused")]
    assert refused == [("mseg-tables", layout.RESERVE_PAGES)] * 4


@pytest.mark.parametrize(
    ("cpu", "snapshot"),
    [(DUAL_CPU, 0), (DUAL_CPU, 96), (NO_1GB, 96)],
    ids=["as-it-is", "snapshot", "snapshot-no-1gb"],
)
def test_pci(qemu: Path, mseg: Path, tmp_path: Path, cpu: str, snapshot: int) -> None:
    """Configuration space by ports and in memory, below 4 GB, above and nowhere; paths through a bridge."""
    more = (
        "-device",
        "pcie-root-port,id=rootport,bus=pcie.0,addr=3,chassis=1",
        "-device",
        "pcie-pci-bridge,bus=rootport",
    )
    result = run(qemu, mseg, tmp_path, PCI, cpu, more=more, defines=(f"SNAPSHOT={snapshot}",))
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 700
    assert result.of("crash") == []
    # Each of protect_strings.c, with configuration space reached by ports and in memory.
    names = Counter(check.name for check in result.outcome.checks if check.rule in ("ALLOWED", "CAUGHT"))
    assert {name: names[name] for name in STRING_ADDRESSES} == dict.fromkeys(STRING_ADDRESSES, 2)
    # The handler has moved ECAM to where the STM cannot guard it, three times.
    # ACPI says otherwise than the chipset: no protection. It says nothing that can be believed: the chipset does.
    # ... Of other segments no descriptor can name a function.
    *moved, refused, segments = result.of("refused")
    assert [record.text("reason") for record in moved] == ["pciexbar"] * 3
    assert segments.text("reason") == "segments"
    found = [refused.number(name) for name in ("mcfg", "mcfg_size", "chipset", "chipset_size")]
    assert found == [0xC000_0000, 1 << 28, 0xB000_0000, 1 << 28] and refused.text("reason") == "ecam"
    assert [record.text("problem") for record in result.of("acpi")] == ["malformed"] * 2


@POLICIES
@pytest.mark.parametrize("cpu", [DUAL_CPU, NO_1GB], ids=["1gb", "no-1gb"])
def test_all(qemu: Path, mseg: Path, tmp_path: Path, cpu: str, snapshot: int) -> None:
    """Everything but what the firmware claims, by one descriptor; ports with a direction (trapped I/O)."""
    result = run(qemu, mseg, tmp_path, ALL, cpu, defines=(f"SNAPSHOT={snapshot}",))
    assert result.outcome.problems(expect_shutdown=False) == []
    assert len(result.outcome.checks) >= 400
    assert result.of("crash") == []


def test_string_instruction_that_becomes_rsm(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """While the STM looks at it, as another processor could do it: the step is over with the SMI.

    The next SMI begins without one: nothing is stepped, and it takes four transitions.
    """
    entry = address_of(mseg, HANDLER_EXIT, ENTRY_POINTS)
    with debugged(qemu, image(mseg, STEP), tmp_path) as (process, gdb):
        gdb.set_breakpoint(entry)
        gdb.run_to_stop()  # RSM of the firmware's setup code
        gdb.request("s")
        gdb.run_to_stop()  # INS of the handler
        gdb.clear_breakpoint(entry)
        assert gdb.read_memory(STEP_CODE, 2) == INSB_AND_RET
        gdb.write_memory(STEP_CODE, RSM)
        gdb.run()
        status = wait(process, 60)
    outcome = parse_log((tmp_path / "debug.log").read_text(encoding="ascii", errors="replace"), status)
    result = read_run(tmp_path, outcome)
    assert outcome.problems(expect_shutdown=False) == []
    assert result.of("crash") == []
    assert [record.number("reason") for record in result.of("exit")] == [VMX_REASON_IO]
    smis = [group for group in smi_groups(result.transitions) if group[0].basic_reason in (5, 6)]
    # The access of the first one is an exit and an entry more.
    assert [len(group) for group in smis] == [4 + 2, 4]
