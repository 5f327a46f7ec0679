# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The deepest calls of the STM against its stacks: of a processor, of activations, and of a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stack_depth import Function, read_functions, worst

# Offsets of StmMemory.h: STM_BLOCK_CRASH_STACK_TOP to STM_BLOCK_STACK_TOP; STM_VMCS_ROOM to the former; the list of a
# call, which shares the page of the entry stack, is not there yet.
STACK = 0x1000 - 0x800
CRASH_STACK = 0x800 - 0x500
ENTRY_STACK = 0x1000
# Below the top of its stack a processor leaves room for what a callee stores of its arguments.
SHADOW = 0x20
# What the entry code has on the entry stack when it calls: registers, two arguments and that room.
ENTRY_REGISTERS = 16 * 8 + 0x30
# What an exception leaves: SS to RIP, an error code, the stub's vector, that room, and up to 8 bytes to align it.
EXCEPTION = 7 * 8 + SHADOW + 8
#: Where the functions that call through a register, or a table, go.
INDIRECT = {
    "StmSha256With": ("AsmSha256Blocks", "StmSha256AddBlocks"),
    "StmPciFollow": ("StmReadPciByte",),
    "ReadEntry": ("StmReadTable",),
    "Copy": ("Read", "Write"),
}
#: A walk of the handler's page tables reads each entry by a walk of the EPT, and that one reads them as they are.
NESTED = {"WalkTables": 2, "ReadEntry": 2, "TranslateEpt": 1}
#: What they call begins at the top of a stack.
ELSEWHERE = ("AsmLeave", "AsmEnter", "AsmTryFailed")


@pytest.fixture(scope="module")
def functions(mseg: Path) -> dict[str, Function]:
    """Of the image as it was linked."""
    found = read_functions(mseg.with_name("Stm.debug"))
    for name in ELSEWHERE:
        assert name in found
        found[name] = Function(name)
    return found


@pytest.mark.parametrize(
    ("root", "above", "size"),
    [
        ("StmDispatchSmmExit", SHADOW, STACK),
        ("StmDispatchHandlerExit", SHADOW, STACK),
        ("StmDispatchRsm", SHADOW, STACK),
        ("StmPolicySmmExit", SHADOW, STACK),
        ("StmPolicyRsm", SHADOW, STACK),
        ("StmEntryFailed", SHADOW, STACK),
        ("StmLeaveFailed", SHADOW, STACK),
        ("StmActivateProcessor", SHADOW, STACK),
        ("StmActivate", ENTRY_REGISTERS, ENTRY_STACK),
        ("StmException", EXCEPTION, CRASH_STACK),
    ],
)
def test_the_deepest_calls_fit(functions: dict[str, Function], root: str, above: int, size: int) -> None:
    """From each function that assembly calls, whatever way the calls go; no function calls itself."""
    handlers = tuple(name for name in functions if name.startswith("StmExit"))
    indirect = INDIRECT | {"StmDispatchHandlerExit": (*handlers, "StmApiHandler")}
    found = worst(functions, root, indirect, NESTED)
    assert above + found.size <= size, str(found)
    # A way of one function would be one whose calls were not seen.
    assert len(found.path) > 1
