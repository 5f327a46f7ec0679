# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs a batch (vmcs_batch.py) on the machine, over the VMX aborts that its guests bring about."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import Outcome, parse_log, qemu_arguments
from build_scripts.conformance.image_table import DUAL_CPU, ICOUNT
from build_scripts.processes import communicate
from tests.machine import sanitizers, vmcs_batch
from tests.machine.vmcs_batch import Capabilities, Done, Operation

VGA = ("-device", "VGA,romfile=,addr=1")  # a PCI function with two BARs
SINGLE: tuple[str, ...] = ()
COUNTED = ICOUNT
EXIT_PANIC = 0x25  # the image saw an exception that nobody expected
OBEYED = "terminating on signal 15"  # QEMU itself is alive, whatever its processor does
_SOON, _LATE = 0x800, 0x8000  # the guest's time: 65 µs of counted instructions, 1 ms of a shared host


def _wait(process: subprocess.Popen[str], timeout: float) -> tuple[int | None, str]:
    """Exit status, None after the timeout, and standard error; QEMU is asked to end before it is made to."""
    try:
        _, errors = communicate(process, timeout)
        return process.returncode, errors
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        _, errors = communicate(process, 10)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    return None, errors


@dataclass(frozen=True)
class Machine:
    """A machine to run batches on: the binary, a folder for logs, further arguments.

    With threads every processor has a thread of the host; a racer (of two
    processors) changes the guest's tables meanwhile.
    """

    qemu: Path
    work: Path
    extra: tuple[str, ...] = ()
    cpu: str = DUAL_CPU
    threads: bool = False
    timeout: float = 60.0
    racer: bool = False

    def _arguments(self, blob: Path, log: Path, trace: Path) -> list[str]:
        loader = f"loader,file={blob},addr={vmcs_batch.BLOB:#x},force-raw=on"
        rom = build_image(("t_batch.c", "racer.asm")).rom
        # In flash memory, as firmware is, and another one below it that can be programmed.
        flash = (
            *("-drive", f"if=pflash,unit=0,readonly=on,format=raw,file={rom}"),
            *("-drive", "if=pflash,unit=1,format=raw,file.driver=null-co,file.size=65536,file.read-zeroes=on"),
        )
        extra = (*VGA, *flash, *self.extra, "-device", loader, "-trace", "enable=vmx_abort", "-D", str(trace))
        arguments = qemu_arguments(self.qemu, rom, log, self.cpu, extra)
        return [word.replace("thread=single", "thread=multi") if self.threads else word for word in arguments]

    def _run(self, operations: list[Operation]) -> tuple[Outcome, int]:
        """One run: its outcome and how many VMX aborts it announced."""
        blob, log, trace = (self.work / name for name in ("batch.bin", "debug.log", "trace.log"))
        blob.write_bytes(vmcs_batch.blob(operations, _SOON if "-icount" in self.extra else _LATE, self.racer))
        for old in (log, trace):
            old.unlink(missing_ok=True)
        command = self._arguments(blob, log, trace)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            status, errors = _wait(process, self.timeout)
        sanitizers.note_errors(self.work, errors)
        text, events = (
            path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in (log, trace)
        )
        return parse_log(text, status, errors), events.count("vmx_abort")

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
            elif begun and outcome.status in (0, EXIT_PANIC) and rest[last].may_end_host:
                results[last].outcomes.append("host-ended")
            elif begun and outcome.status is None and OBEYED in outcome.errors and rest[last].may_end_host:
                results[last].outcomes.append("host-loops")
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
