# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The real STM serves SMI handlers that begin in 32-bit mode, without paging or with PAE paging."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.observation.events import Kind
from tests.machine.stm.test_stm import HERE, Run, digest_defines, extra_arguments, read_run, smi_groups

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "handler32.c", "handler32.asm"))
# As handler32.c has them.
SMIS = 100
REFUSED = (*["SmmCr3"] * 3, *["SmmSmiHandlerRip"] * 3, "SmmTr")
FRAME_REGISTERS = 7
PLAIN_TRANSITIONS = 4


def run_handler(qemu: Path, mseg: Path, work: Path, *defines: str, cpu: str = DUAL_CPU) -> Run:
    rom = build_image(SOURCES, (*digest_defines(mseg), "COPIED", *defines)).rom
    return read_run(work, run_image(qemu, rom, work, cpu, extra_arguments(work), timeout=60))


@pytest.fixture(scope="module")
def served(qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_handler(qemu, mseg, tmp_path_factory.mktemp("handler32"))


def test_checks_of_the_image(served: Run) -> None:
    """Its entry, its exits, paging on and off, what it must not touch; registers of 64 bits come back whole."""
    assert served.outcome.problems(expect_shutdown=False) == []
    seen = {check.rule for check in served.outcome.checks}
    assert {"H32-ENTRY", "H32-EXIT", "H32-FAULTS", "H32-GUEST", "H32-PAGING", "H32-REGISTERS", "H32-SMIS"} <= seen


def test_all_kinds_of_handler_are_served(served: Run) -> None:
    """Without paging, with PAE paging, and going on to 64-bit mode by itself; no set-up, no tear-down."""
    assert len(served.of("start")) == len(served.of("stop")) == 3
    assert all(record.number("smis") >= SMIS for record in served.of("stop"))
    assert served.of("crash") == []


def test_a_plain_smi_is_four_transitions(served: Run) -> None:
    """What the STM does for 32-bit mode it does when it reads the PSD, not at each SMI."""
    groups = smi_groups(served.transitions)
    plain = [group for group in groups if len(group) == PLAIN_TRANSITIONS]
    assert len(plain) >= SMIS
    assert {one.kind for group in plain for one in group} >= {Kind.SMM_EXIT, Kind.SMM_RETURN}


def test_begins_with_pae_paging(served: Run) -> None:
    """Each SMI with the tables that the PSD names, and with the PDPTEs that are in memory then."""
    names = [check.name for check in served.outcome.checks if check.rule == "H32-PAE"]
    assert {"paging-off", "paging-on-again", "last-pdpte"} <= set(names)
    assert names.count("cr3") == 3


def test_protection_exceptions_come_in_the_mode_of_the_handler(served: Run) -> None:
    """The 32-bit frame without paging and with it; the longer one behind the way to 64-bit mode."""
    handled = [check.name for check in served.outcome.checks if check.rule == "H32-EXCEPTION"]
    wanted = {"exception", "exception-and-another-mode", "return-in-another-mode", "pae-exception", "long"}
    assert wanted <= set(handled)
    registers = [check.name for check in served.outcome.checks if check.rule == "H32-FRAME"]
    assert registers.count("in-the-frame") == registers.count("from-the-frame") == 3 * FRAME_REGISTERS


def test_what_is_not_served_is_refused_by_name(served: Run) -> None:
    assert [record.text("member") for record in served.of("refused")] == list(REFUSED)


def test_processor_without_unrestricted_guests(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """A guest without paging is one: refused before START, not found out at the first SMI. PAE paging is served."""
    run = run_handler(qemu, mseg, tmp_path, "RESTRICTED", cpu=f"{DUAL_CPU},vmx-unrestricted-guest=off")
    assert run.outcome.problems(expect_shutdown=False) == []
    (refused,) = run.of("refused")
    assert (refused.text("reason"), refused.text("member")) == ("psd", "SmmEntryState")
    assert len(run.of("start")) == len(run.of("stop")) == 1
