# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The page on the architecture tells the steps of an activation in the order in which the code takes them."""

from __future__ import annotations

import re
from pathlib import Path

# What the page says of a step, and where the code takes it: file, function (for NASM the label), statement.
STEPS = (
    ("takes the lock of the one entry stack", "Entry/Activate.nasm", "lock bts dword"),
    ("zeroes what all share", "Init/Activate.c:ActivateFirst", "ZeroMem ("),
    ("compares the hash", "Init/Activate.c:ActivateFirst", "CompareMem ("),
    ("builds the tables", "Init/Activate.c:ActivateFirst", "StmBuildShared ("),
    ("takes its processor's block, found by its APIC ID", "Init/Activate.c:TakeBlock", "VmxReadApicId ("),
    ("loads that block's GDT and TR and the shared IDT", "Init/HostState.c:StmEnterHostState", "AsmLoadTables ("),
    ("sets NXE and WP", "Init/HostState.c:StmEnterHostState", "AsmWriteCr0 ("),
    ("moves to its own page tables", "Init/HostState.c:StmEnterHostState", "AsmWriteCr3 ("),
    ("switches to the block's own stack", "Entry/Activate.nasm", "lea     rsp, [rax - 0x20]"),
    ("releases the lock when it has a VMCS of its own", "Init/Activate.c:StmActivateProcessor", "->Lock = 0"),
)
CALLS = ("StmActivate", "ActivateFirst", "TakeBlock", "StmEnterHostState", "StmActivateProcessor")


def _bodies(stm: Path) -> dict[str, str]:
    """Of the functions on the way, and the entry code without comments."""
    found = {}
    for path in sorted(stm.rglob("*.c")):
        for name, body in re.findall(r"^(\w+) \((?:[^{};]*?)\)\n\{\n(.*?)^\}", path.read_text(), re.M | re.S):
            if name in CALLS:
                found[name] = f"{path.relative_to(stm)}:{name}", re.sub(r"//.*", "", body)
    assert sorted(found) == sorted(CALLS)
    return {name: f"<{where}>{body}</>" for name, (where, body) in found.items()}


def _flat(text: str, bodies: dict[str, str]) -> str:
    """The text with the body of each of these functions where it is called."""
    return re.sub(
        rf"\b({'|'.join(CALLS)})(?:\)| \([^;]*;)",
        lambda call: _flat(bodies[call[1]], bodies),
        text,
    )


def test_order_of_the_steps(checkout: Path) -> None:
    stm = checkout / "StmPkg" / "Stm"
    entry = re.sub(r";.*", "", (stm / "Entry" / "Activate.nasm").read_text()).split("_ModuleEntryPoint):")[1]
    flat = _flat(entry, _bodies(stm))
    page = " ".join((checkout / "docs" / "architecture.rst").read_text().split())
    said = [page.index(phrase) for phrase, _, _ in STEPS]
    assert said == sorted(said)
    done, at = [], 0
    for phrase, _, statement in STEPS:
        at = flat.find(statement, at)
        assert at >= 0, f"not after the steps before it: {phrase}"
        opened = re.findall(r"<([\w/.]+:\w+)>|(</>)", flat[:at])
        stack: list[str] = []
        for name, _ in opened:
            stack = [*stack, name] if name else stack[:-1]
        done.append((stack or ["Entry/Activate.nasm"])[-1])
    assert done == [where for _, where, _ in STEPS]
