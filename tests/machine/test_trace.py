# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Trace events of the machine: one line a transition, without gaps."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU, ICOUNT, SHUTDOWNS, STOCK_CPU

TRANSITION = re.compile(
    r"vmx_transition cpu=(?P<cpu>\d+) t=(?P<t>\d+) icount=(?P<icount>-?\d+) kind=(?P<kind>[a-z-]+) "
    r"from=(?P<source>\w+) to=(?P<target>\w+) vmcs=(?P<vmcs>0x[0-9a-f]+) "
    r"exec_vmcs=(?P<executive>0x[0-9a-f]+) reason=(?P<reason>0x[0-9a-f]+) "
    r"qual=(?P<qualification>0x[0-9a-f]+) rip=(?P<rip>0x[0-9a-f]+)"
)
NO_POINTER = 0xFFFF_FFFF_FFFF_FFFF

# Where each kind may begin and end.
LEGAL = {
    "vmxon": {("none", "root")},
    "vmxoff": {("root", "none")},
    "entry": {("root", "guest")},
    "exit": {("guest", "root")},
    "entry-failure": {("root", "root"), ("stm", "stm")},
    "activate": {("root", "stm")},
    "smm-exit": {("root", "stm"), ("guest", "stm")},
    "smm-return": {("stm", "root"), ("stm", "guest")},
    "smm-deactivate": {("stm", "root")},
    "handler-entry": {("stm", "handler")},
    "handler-exit": {("handler", "stm")},
    "smi": {("none", "smm"), ("root", "smm"), ("guest", "smm")},
    "rsm": {("smm", "none"), ("smm", "root"), ("smm", "guest")},
}


@dataclass(frozen=True)
class Transition:
    """One vmx_transition event; numbers are decoded."""

    kind: str
    source: str
    target: str
    t: int
    icount: int
    vmcs: int
    executive: int
    reason: int


def _transitions(trace: Path) -> list[Transition]:
    found = []
    for line in trace.read_text(encoding="ascii").splitlines():
        if not line.startswith("vmx_transition"):
            assert line.startswith("vmx_"), line
            continue
        match = TRANSITION.fullmatch(line)
        assert match, f"malformed: {line}"
        found.append(
            Transition(
                match["kind"],
                match["source"],
                match["target"],
                int(match["t"]),
                int(match["icount"]),
                int(match["vmcs"], 16),
                int(match["executive"], 16),
                int(match["reason"], 16),
            )
        )
    return found


def _run(qemu: Path, work: Path, source: str, cpu: str = DUAL_CPU, extra: tuple[str, ...] = ()) -> list[Transition]:
    trace = work / "trace.log"
    rom = build_image((source,)).rom
    outcome = run_image(qemu, rom, work, cpu, ("-trace", "vmx_*", "-D", str(trace), *extra))
    assert not outcome.problems(False)
    return _transitions(trace) if trace.exists() else []


@pytest.mark.parametrize("source", ["t_deact.c", "t_smi_exit.c", "t_stm.c", "t_default.c", "t_return_err.c"])
def test_sequence(qemu: Path, tmp_path: Path, source: str) -> None:
    """Each transition is legal, begins where the last one ended, and time grows."""
    state, time = "none", 0
    events = _run(qemu, tmp_path, source)
    assert events
    for event in events:
        assert (event.source, event.target) in LEGAL[event.kind], event
        assert event.source == state, event
        assert event.t >= time, event
        assert event.icount == -1
        state, time = event.target, event.t


def test_counts(qemu: Path, tmp_path: Path) -> None:
    """The deactivation image: three lives of the STM, each begun and ended."""
    kinds = Counter(event.kind for event in _run(qemu, tmp_path, "t_deact.c"))
    assert kinds["activate"] == kinds["smm-deactivate"] == 3
    assert kinds["smm-exit"] == kinds["smm-return"] + kinds["smm-deactivate"] - kinds["activate"]
    assert kinds["smi"] == kinds["rsm"]
    assert kinds["vmxon"] == kinds["vmxoff"] == 2


def test_pointers(qemu: Path, tmp_path: Path) -> None:
    """SMM exits name the SMM-transfer VMCS and the executive-VMCS pointer."""
    events = _run(qemu, tmp_path, "t_smi_exit.c")
    entered = {event.vmcs for event in events if event.kind == "entry"}
    exits = [event for event in events if event.kind == "smm-exit"]
    assert {event.vmcs for event in exits} == {0x3E20000}
    for event in exits:
        assert bool(event.reason & 0x2000_0000) == (event.source == "root")
        if event.source == "guest":
            assert event.executive in entered
        else:
            assert event.executive not in {*entered, NO_POINTER}


def test_icount(qemu: Path, tmp_path: Path) -> None:
    """With -icount the instruction counter is there and never falls."""
    events = _run(qemu, tmp_path, "t_deact.c", extra=ICOUNT)
    counts = [event.icount for event in events]
    assert counts == sorted(counts)
    assert counts[0] > 0


def test_silent_without_vmx(qemu: Path, tmp_path: Path) -> None:
    """A processor without VMX reports no transition, though it takes SMIs."""
    assert _run(qemu, tmp_path, "t_platform.c", STOCK_CPU) == []


def test_four_transitions(qemu: Path, tmp_path: Path) -> None:
    """A plain SMI is exactly four transitions, from root and from a guest."""
    rounds = 50
    trace = tmp_path / "trace.log"
    rom = build_image(("t_roundtrip.c",), (f"ROUNDS={rounds}",)).rom
    outcome = run_image(qemu, rom, tmp_path, DUAL_CPU, ("-trace", "vmx_*", "-D", str(trace)))
    assert not outcome.problems(False)
    events = _transitions(trace)
    starts = [i for i, event in enumerate(events) if event.kind == "smm-exit"]
    assert len(starts) == 2 * rounds
    for origin in ("root", "guest"):
        chosen = [i for i in starts if events[i].source == origin]
        assert len(chosen) == rounds
        for i in chosen:
            kinds = [event.kind for event in events[i : i + 4]]
            assert kinds == ["smm-exit", "handler-entry", "handler-exit", "smm-return"]
            assert events[i + 3].target == origin


@pytest.mark.parametrize(
    ("case", "indicator"),
    [
        ("exit-load-9bh", 4),
        ("exit-store-9eh", 1),
        ("smm-exit-store", 1),
        ("stm-made-32-bit", 6),
        ("exit-load-fs-base", 4),
        ("exit-store-x2apic", 1),
    ],
)
def test_abort_indicator(qemu: Path, tmp_path: Path, case: str, indicator: int) -> None:
    """A VMX abort names its cause (SDM "VMX Aborts"), then the machine resets."""
    trace = tmp_path / "trace.log"
    rom = build_image(("t_shutdown.c",), (f"CASE={SHUTDOWNS.index(case)}",)).rom
    outcome = run_image(qemu, rom, tmp_path, DUAL_CPU, ("-trace", "vmx_abort", "-D", str(trace)))
    assert not outcome.problems(True)
    aborts = [line for line in trace.read_text(encoding="ascii").splitlines() if line.startswith("vmx_abort ")]
    assert len(aborts) == 1
    assert re.search(rf"indicator=(0x)?{indicator}\b", aborts[0]), aborts[0]
