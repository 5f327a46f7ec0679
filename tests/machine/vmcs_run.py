# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs a batch (vmcs_batch.py) on the machine, over the VMX aborts that its guests bring about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.machine import vmcs_batch
from tests.machine.machine_build import build_image
from tests.machine.machine_run import Outcome, run_image
from tests.machine.machine_table import DUAL_CPU, ICOUNT
from tests.machine.vmcs_batch import Capabilities, Done, Operation

VGA = ("-device", "VGA,romfile=,addr=1")  # a PCI function with two BARs
SINGLE, COUNTED = (), ICOUNT
TIMEOUT = 60.0


@dataclass(frozen=True)
class Machine:
    """A machine to run batches on: the binary, further arguments, a folder for logs."""

    qemu: Path
    work: Path
    extra: tuple[str, ...] = ()
    cpu: str = DUAL_CPU

    def _run(self, operations: list[Operation]) -> tuple[Outcome, int]:
        """One run: its outcome and how many VMX aborts it announced."""
        blob, trace = self.work / "batch.bin", self.work / "trace.log"
        blob.write_bytes(vmcs_batch.blob(operations))
        trace.unlink(missing_ok=True)
        loader = f"loader,file={blob},addr={vmcs_batch.BLOB:#x},force-raw=on"
        extra = (*VGA, *self.extra, "-device", loader, "-trace", "enable=vmx_abort", "-D", str(trace))
        rom = build_image(("t_batch.c",))
        outcome = run_image(self.qemu, rom.rom, self.work, self.cpu, extra, TIMEOUT)
        text = trace.read_text(encoding="utf-8", errors="replace") if trace.exists() else ""
        return outcome, text.count("vmx_abort")

    def capabilities(self) -> Capabilities:
        """What the processor offers."""
        outcome, _ = self._run([])
        assert not outcome.problems(False), outcome.problems(False)
        return vmcs_batch.capabilities(outcome.log)

    def run(self, operations: list[Operation]) -> list[Done]:
        """What every operation did.

        A run that ends in an announced VMX abort of an operation that may
        abort goes on behind it in a new machine.  Whatever else ends a run
        before its last check is a problem of the operation that had begun.
        """
        done: list[Done] = []
        while len(done) < len(operations):
            rest = operations[len(done) :]
            outcome, aborts = self._run(rest)
            results, begun = vmcs_batch.read_log(outcome.log, len(rest))
            problems = outcome.problems(False)
            if not problems:
                done += results
                continue
            last = begun - 1
            if begun and aborts == 1 and outcome.status == 0 and rest[last].may_abort:
                results[last].outcomes.append("abort")
            else:
                results[last].problems.append("the machine did not survive:\n" + "\n".join(problems))
            if not begun:
                return done + results
            done += results[:begun]
        return done


def judge(operations: list[Operation], done: list[Done]) -> list[str]:
    """One text for each operation that did what it must not do."""
    found = []
    for operation, result in zip(operations, done, strict=True):
        problems = list(result.problems)
        if operation.expect and operation.expect not in result.outcomes:
            problems.append(f"expected {operation.expect}")
        if not result.outcomes and not problems:
            problems.append("no outcome")
        if problems:
            found.append(f"{operation}\n    did: {' '.join(result.outcomes)}\n    " + "\n    ".join(problems))
    return found
