# SPDX-License-Identifier: BSD-2-Clause-Patent
"""docs/reference/stm-api-rules.rst: every status, register and member of the headers has a row, every row a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import stm_orders, stm_rules
from tests.support.stm_interface import calls, members, named_statuses, registers, statuses
from tests.support.stm_rules import EXECUTIVE, HANDLER, ORDER, Rule

# Codes to which StmStatusCode.h gives no number; a row says what stands for them.
NUMBERLESS = {"ERROR_STM_INVALID_VMCS", "ERROR_STM_VMCS_PRESENT"}
# What a call takes, as StmApi.h and StmResourceDescriptor.h have it.
STRUCTURES = {
    *("STM_MAP_ADDRESS_RANGE_DESCRIPTOR", "STM_UNMAP_ADDRESS_RANGE_DESCRIPTOR", "STM_ADDRESS_LOOKUP_DESCRIPTOR"),
    *("STM_VMCS_DATABASE_REQUEST", "STM_EVENT_LOG_MANAGEMENT_REQUEST", "LOG_ENTRY_HEADER"),
    *("STM_RSC_DESC_HEADER", "STM_PCI_DEVICE_PATH_NODE", "STM_REGISTER_VIOLATION_DESC", "STM_RSC_END"),
    *("TXT_PROCESSOR_SMM_DESCRIPTOR", "STM_SMM_ENTRY_STATE", "STM_SMM_RESUME_STATE", "STM_SMM_STATE"),
    *("STM_PROTECTION_EXCEPTION_HANDLER", "STM_PROTECTION_EXCEPTION_STACK_FRAME_X64"),
    "STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32",
}
RULES = stm_rules.load()


def structures() -> set[str]:
    """All of what a call takes: every resource descriptor, too."""
    return STRUCTURES | {name for name in members() if re.fullmatch(r"STM_RSC_\w+_DESC", name)}


def test_every_call_has_rules() -> None:
    assert set(calls()) == {*EXECUTIVE, *HANDLER}
    assert {rule.call for rule in RULES} == set(ORDER)


def test_every_code_has_a_row() -> None:
    """Of StmStatusCode.h; no row has a code of its own making."""
    assert {rule.status for rule in RULES} - {""} == set(statuses()) | NUMBERLESS


@pytest.mark.parametrize("call", sorted(calls()))
def test_every_status_that_the_header_names_has_a_row(call: str) -> None:
    there = {rule.status for rule in RULES if call in rule.of_calls}
    assert set(named_statuses()[call]) <= there


def test_every_member_has_a_row() -> None:
    """Also every register that a call takes; and no row names what is not in the headers."""
    wanted = {f"{kind}.{member}" for kind in structures() for member in members()[kind]}
    wanted |= {f"{call}.{register}" for call, taken in registers().items() for register in taken}
    assert len(wanted) > 70
    named = [member for rule in RULES for member in rule.members]
    assert sorted(named) == sorted(set(named)), "a member has two rows"
    assert set(named) == wanted


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.call}-{rule.status or rule.rule[:24]}")
def test_row(rule: Rule, checkout: Path) -> None:
    """It has tests or a reason; each test is there, and one of its files, or what it builds on, knows the code."""
    assert bool(rule.tests) != bool(rule.reason)
    assert not rule.rule.endswith(".") and not rule.reason.endswith(".")
    texts = []
    for test in rule.tests:
        file, _, function = test.partition("::")
        text = (checkout / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), f"{file} has no {function}"
        texts += [text, *beside(checkout / file, text)]
    if rule.tests and rule.status:
        assert any(knows(text, rule.status) for text in texts), f"none of its tests knows {rule.status}"


def beside(path: Path, text: str) -> list[str]:
    """What a test is made of: images, tables and headers of its folder, and models that it imports."""
    parts = [*path.parent.glob("*.[ch]"), *path.parent.glob("*.toml")]
    parts += [path.with_name(f"{name}.py") for name in re.findall(r"^from tests\.host import (\w+_model)", text, re.M)]
    if "stm_orders" in text:
        parts.append(stm_orders.FILE)
    return [part.read_text(encoding="utf-8") for part in parts]


def knows(text: str, status: str) -> bool:
    """By its name, or what is left of it without its prefix, or its value."""
    # A panic has the firmware's reason in its last digit.
    value = f"{statuses()[status]:08x}".removesuffix("0" if status == "STM_CRASH_BIOS_PANIC" else "")
    short = re.sub(r"^(ERROR_STM|ERROR|STM_CRASH|STM)_", "", status)
    return value in text.lower().replace("_", "") or re.search(rf"\b\w*{short}\b", text) is not None


def test_orders_are_complete() -> None:
    """Each of the executive monitor's calls in each state, each of the handler's wherever its code runs."""
    orders = stm_orders.load()
    extra = {"UNKNOWN", "MAP_ADDRESS_RANGE"}
    for state in ("off", "initialized", "started"):
        assert {row.call for row in orders.executive if row.state == state} == {*EXECUTIVE, *extra}
    for context in ("smi", "setup", "teardown", "exception"):
        assert {row.call for row in orders.handler if row.context == context} == {*HANDLER, "START", "UNKNOWN"}
    for row in orders.executive:
        assert (row.following == row.state) or row.status == "STM_SUCCESS", "a call that fails changes nothing"


def test_page_is_of_the_tables() -> None:
    text = stm_rules.PAGE.read_text(encoding="utf-8")
    assert text == stm_rules.page(), "write it anew: python3 -m tests.support.stm_rules"
