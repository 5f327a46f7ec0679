# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Each call in each state, by the table orders.toml; and parameters that are none. The real STM on bare metal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from tests.machine.stm import test_many
from tests.machine.stm.test_protect import ABOVE_4GB
from tests.machine.stm.test_stm import HERE, Run, digest_defines, extra_arguments, read_run
from tests.support.stm_interface import statuses
from tests.support.stm_orders import Orders, load, number_of

SOURCES = tuple(str(HERE / name) for name in ("firmware.c", "orders.c", "orders_handler.c", "parameters.c"))
STATES = ("off", "initialized", "started")
CONTEXTS = ("smi", "setup", "teardown", "exception")
STM_LOG = ("-chardev", "file,id=stm,path={}/stm.log", "-device", "isa-debugcon,iobase=0x403,chardev=stm")
PAGES, WITH_PAGE = 15, ("protect", "unprotect", "resources", "database", "event-log")


def rows(orders: Orders) -> tuple[str, str]:
    """The tables as the image has them."""
    executive = (
        f'{{"{row.name}",{STATES.index(row.state)},{row.number:#x}u,{row.value:#x}u,{STATES.index(row.following)}}}'
        for row in orders.executive
    )
    handler = (
        f'{{"{row.name}",{CONTEXTS.index(row.context)},{row.number:#x}u,{row.value:#x}u}}' for row in orders.handler
    )
    return f"ORDERS={','.join(executive)}", f"HANDLER_ORDERS={','.join(handler)}"


def other_rows(orders: Orders) -> str:
    """What differs for a processor that is off while another one is not."""
    rows = (
        f'{{"beside.{call}",0,{number_of(call):#x}u,{statuses()[status]:#x}u,{STATES.index(following)}}}'
        for call, (status, following) in orders.others.items()
    )
    return f"OTHERS={','.join(rows)}"


@pytest.fixture(scope="module")
def made(qemu: Path, mseg: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run in which all calls are made."""
    work = tmp_path_factory.mktemp("orders")
    rom = build_image(SOURCES, (*digest_defines(mseg), *rows(load()))).rom
    return read_run(work, run_image(qemu, rom, work, DUAL_CPU, (*extra_arguments(work), *ABOVE_4GB), timeout=120))


def counted(run: Run, rule: str) -> Counter[str]:
    """How many checks of a kind each name has; none has failed."""
    checks = [check for check in run.outcome.checks if check.rule == rule]
    assert checks and [check for check in checks if not check.passed] == []
    return Counter(check.name for check in checks)


def test_each_call_in_each_state(made: Run) -> None:
    """Status, flags, what an SMI meets then, and that no register, MSR or byte of the request changes beside."""
    assert made.outcome.problems(expect_shutdown=False) == []
    assert made.of("crash") == []
    names = {row.name for row in load().executive}
    for rule in ("ORDER-FLAGS", "REGISTERS", "UNCHANGED", "MONITOR-CTL", "RETURN-STATUS", "SMI-AFTER-STOP"):
        assert names <= set(counted(made, rule)), rule
    # Before the next row, and after it.
    assert {name: counted(made, "SMI-STM")[name] for name in names} == dict.fromkeys(names, 2)


def test_each_call_beside_another_processor(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """Of either of two processors, whatever the other's state is, which stays as it is."""
    orders = load()
    scene = {"SCENE": test_many.SCENES.index("orders"), "PROCESSORS": 2, "ANNOUNCED": 2, "ROUNDS": 1}
    defines = (*digest_defines(mseg), *(f"{name}={value}" for name, value in scene.items()))
    sources = (*test_many.SOURCES, str(HERE / "many_orders.c"))
    rom = build_image(sources, (*defines, rows(orders)[0], other_rows(orders))).rom
    more = ("-smp", "2", "-accel", "tcg,thread=single", *STM_LOG)
    outcome = run_image(qemu, rom, tmp_path, DUAL_CPU, tuple(word.format(tmp_path) for word in more), timeout=120)
    assert outcome.problems(expect_shutdown=False) == []
    seen = Counter(check.name for check in outcome.checks if check.rule == "ORDER")
    assert seen == {row.name: 2 * len(STATES) for row in orders.executive}


def test_each_call_of_the_handler(made: Run) -> None:
    """In an SMI, in set-up and tear-down code, and in its handler of protection exceptions."""
    names = {row.name for row in load().handler}
    assert names <= set(counted(made, "ORDER"))
    assert len(names) == 4 * 6


def test_entry_state_of_the_psd(made: Run) -> None:
    """ExecutionDisableOutsideSmrr is EFER.NXE of the handler; bits about paging say nothing more in 64-bit mode."""
    assert counted(made, "ENTRY-STATE") == {"nxe": 4, "long-mode": 4}


def test_pages_of_others(made: Run) -> None:
    """SMRAM, what is between TSEG and 4 GB, what wraps and what does not exist: as the page of each call."""
    for call in WITH_PAGE:
        assert len(counted(made, call)) == PAGES, call


def test_vmcs_of_the_database(made: Run) -> None:
    """Foreign pages to add and to remove, every bit that must be 0; and none of it has been added."""
    seen = counted(made, "VMCS")
    assert (seen["mseg"], seen["not-aligned"], seen["reserved"], seen["not-there"]) == (2, 12, 22, 1)


def test_pages_of_the_event_log(made: Run) -> None:
    """A foreign page at any place of the list, and too many: no log is made, and no page is written."""
    seen = counted(made, "LOG-PAGE")
    assert (seen["mseg"], seen["65"], seen["none-made"], seen["not-written"]) == (3, 1, 1, 3)


def test_pages_above_4gb(made: Run) -> None:
    """Read and written by every call that takes a page; and the last pages below SMRAM."""
    assert len(counted(made, "ABOVE-4GB")) == 14
    assert counted(made, "EDGE") == {"resources": 2, "written": 2}


def test_values_in_edx(made: Run) -> None:
    """Pages that the firmware's list does not have, and options of START that nobody has defined."""
    assert counted(made, "PAGE-INDEX")["none"] == 32
    assert counted(made, "OPTIONS")["start"] == 4


def test_numbers_of_nobody(made: Run) -> None:
    """Every call beside the eight, and the handler's from the executive monitor."""
    assert counted(made, "NUMBER") == {"unknown": 28, "of-the-handler": 5, "first": 1, "last": 1, "all-ones": 1}
