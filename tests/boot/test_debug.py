# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``debug``, by scripted sessions: GDB stops in STM and SMI handlers, with symbols, sources and ``vmx``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.boot

SECONDS = 1200  # of which the firmware's build tree may need most, once


def session(checkout: Path, *arguments: str) -> str:
    """What a session prints that executes its commands and ends."""
    command = [sys.executable, "-m", "build_scripts", "debug", *arguments]
    done = subprocess.run(
        command, cwd=checkout, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_in_the_stm(checkout: Path) -> None:
    """At the first SMM VM exit, in C, with the source; the second SMI comes with `continue`."""
    said = session(checkout, "stm", "--ex", "bt 1", "--ex", "list", "--ex", "vmx short", "--ex", "continue")
    assert re.search(
        r"^#0 +StmDispatchSmmExit \(Processor=0x\w+\) at \S*/StmPkg/Stm/Entry/Dispatch\.c:\d+$", said, re.M
    )
    assert re.search(r"^\d+\t.*VmRead \(VMCS_EXIT_REASON\);$", said, re.M)
    assert "CPU#0: mode stm; dual-monitor treatment active; SMIs blocked" in said
    # With a number behind it where the compiler has put the function into another, too.
    assert len(re.findall(r"^Breakpoint 1(?:\.\d+)?, StmDispatchSmmExit", said, re.M)) == 2


def test_in_the_smi_handler(checkout: Path) -> None:
    """Where it begins, with the firmware's own data, in memory that is closed to whoever is not in SMM."""
    said = session(checkout, "smi", "--ex", "bt 1", "--ex", "print /x gSmst->Hdr.Signature", "--ex", "vmx short")
    assert re.search(r"^#0 +SmiRendezvous \(CpuIndex=0\) at \S*/MpService\.c:\d+$", said, re.M)
    assert "$1 = 0x54534d53" in said  # SMM_MMST_SIGNATURE
    assert "CPU#0: mode smm" in said


def test_in_a_function_of_a_driver(checkout: Path) -> None:
    """By its name alone; under the STM the handler is its guest."""
    said = session(
        checkout,
        "handler",
        "SmmVariableHandler",
        "--ex",
        "bt 1",
        "--ex",
        "break ExecExitVmcall",
        "--ex",
        "continue 200",
    )
    assert re.search(r"^#0 +SmmVariableHandler \(", said, re.M)
    # In the executive monitor, where it is loaded.
    assert re.search(r"^Breakpoint 2 at 0x\w+: file \S*/StmPkg/ExecutiveMonitor/Resident/", said, re.M)


def test_before_the_first_instruction(checkout: Path) -> None:
    """Without a place; the symbols are there already."""
    said = session(
        checkout, "--ex", "info line StmDispatchSmmExit", "--ex", "info symbol SmiRendezvous", "--ex", "vmx all"
    )
    assert re.search(r'^Line \d+ of "\S*/StmPkg/Stm/Entry/Dispatch\.c" starts at address 0x1fe', said, re.M)
    assert "SmiRendezvous in section .text of" in said
    assert "CPU#0: mode none" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("handler",), "debug handler takes the name of a function of an SMM driver"),
        (("smi", "SmmVariableHandler"), "debug handler takes the name of a function of an SMM driver"),
        (("handler", "NoSuchFunction"), "none of these has a function NoSuchFunction: CpuIo2Smm"),
    ],
)
def test_refused(arguments: tuple[str, ...], words: str, checkout: Path) -> None:
    command = [sys.executable, "-m", "build_scripts", "debug", *arguments]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2 and words in done.stderr
