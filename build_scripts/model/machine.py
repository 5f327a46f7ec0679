# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sequences on the machine: the image ``t_model.c``, and memory that it shares with the lab."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import qemu_arguments
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.errors import ExitCode, LabError
from build_scripts.model.operations import FIELDS, HEADER, POINTERS, SIPI_VECTOR, Operation
from build_scripts.model.platform import Seen
from build_scripts.model.processor import SMBASE_MSR, Observation, Result
from build_scripts.model.sequences import Sequence
from build_scripts.model.state import How, Pointer
from build_scripts.processes import TimeLimit, ends_with_parent

# t_model.c has the same.
_SHARED, _OPERATIONS, _OBSERVATIONS = 0x200_0000, 0x200_1000, 0x240_0000
_RAM = 64 << 20
_HEADER = struct.Struct("<8IQ2I")
_PROCESSORS = struct.Struct("<2I")
_PROCESSORS_AT = _SHARED + 40
# Pauses for an operation behind which its processor waits; in threads of their own both processors run at a time, and
# the host may let one stand still.
_PATIENCE = {"single": 400, "multi": 40_000}
_OPERATION = struct.Struct("<BBBxIQ")
_OBSERVATION = struct.Struct("<4IQ8I4QI28x")
_KINDS = (
    "begin vmxon vmclear vmptrld pointer vmptrst vmwrite vmread vmlaunch vmresume vmcall vmxoff "
    "rsm rdmsr wrmsr cpuid out ipi iret store"
).split()
_PROGRAMS = ("exec", "guest", "guest-2", "handler", "stm", "smm-guest")
_PROGRAMS_OF_ONE = 8
_HOW = (How.DONE, How.RESUMED, How.START, How.SMI, How.EXIT, How.ACTIVATION, How.START_UP)
_REGIONS = {"V": 0, "G": 1, "H": 2, "A": 3, "W": 4, "Z": 5, "U": 6, "X": 8, "Y": 9, "S": 10}
_NAMES: dict[int, Pointer] = {0xFF: None, **{code: name for name, code in _REGIONS.items()}}
_BESIDE = {"": 0, "1": 0x100, "wide": 0x200}
_ONES, _MISALIGNED, _WIDE = 2**64 - 1, 1, 1 << 52
_IPI = {"smi": 0x4200, "nmi": 0x4400, "init": 0x4500, "sipi": 0x4600 | SIPI_VECTOR}
# From the first processor to the second: regions, and SMBASE.
_REGIONS_STEP, _SMBASE_STEP = 0x1_0000, 0x3_0000
_CF, _ZF, _FAULT = 0x01, 0x40, 0x100
MOST_OBSERVATIONS = 150_000


@dataclass(frozen=True)
class Controls:
    """The words of controls that a VMCS of the image has at the beginning."""

    entry: int
    exit: int
    pin: int


def _pointer_code(pointer: Pointer) -> int:
    if pointer is None:
        return 0xFF
    name, _, beside = pointer.partition("+")
    return _REGIONS[name] | _BESIDE[beside]


def _value(operation: Operation, controls: Controls) -> int:
    """What a VMWRITE writes."""
    value = operation.value
    if operation.field == "entry":
        assert isinstance(value, tuple)
        return controls.entry | bool(value[0]) << 10 | bool(value[1]) << 11
    if operation.field == "exit_controls_legal":
        return controls.exit if value else controls.exit & ~1
    if operation.field == "pin_controls_legal":
        return controls.pin if value else controls.pin & ~2
    assert isinstance(value, int)
    return value + _SMBASE_STEP * operation.processor if operation.field == "smbase" else value


def encoded(operation: Operation, controls: Controls, waiting: frozenset[int] = frozenset()) -> bytes:
    """An operation as the image reads it; waiting: processors that do not answer behind it."""
    name, a, b = operation.name, 0, 0
    if name in ("vmxon", "vmclear", "vmptrld"):
        b = _pointer_code(operation.pointer)
    elif name in ("vmread", "vmwrite"):
        a = FIELDS[operation.field]
        if name == "vmwrite" and operation.field in POINTERS:
            assert operation.value is None or isinstance(operation.value, str)
            name, b = "pointer", _pointer_code(operation.value)
        elif name == "vmwrite":
            b = _value(operation, controls)
    elif name in ("rdmsr", "wrmsr"):
        a, b = operation.msr, operation.number
    elif name in _IPI:
        name, a, b = "ipi", _IPI[name], (operation.processor ^ operation.other) << 24
    elif name == "header":
        name, a, b = "store", operation.number, HEADER[operation.field]
    return _OPERATION.pack(_KINDS.index(name), operation.processor, sum(1 << number for number in waiting), a, b)


def _list(one: Sequence, controls: Controls) -> bytes:
    """A sequence as the image reads it: each processor's beginning, and the operations."""
    beginnings = [_OPERATION.pack(0, number, 0, 0, value) for number, value in enumerate(one.monitor_ctl)]
    pairs = zip(one.operations, one.expected, strict=True)
    return b"".join((*beginnings, *(encoded(operation, controls, happened.waiting) for operation, happened in pairs)))


def _pointer(code: int) -> Pointer:
    return _NAMES.get(code, f"{code:#x}")


def _field(name: str, value: int, regions: dict[int, str]) -> object:
    """A field's value in the model's terms."""
    if name in POINTERS:
        for address, region in regions.items():
            for beside, offset in (("", 0), ("+1", _MISALIGNED), ("+wide", _WIDE)):
                if value == address + offset:
                    return region + beside
        return None if value == _ONES else f"{value:#x}"
    return value


class Stopped(Exception):
    """The machine did not carry out a list to its end."""


class Machine:
    """A running machine; `run` may be called any number of times until it raises `Stopped`."""

    def __init__(self, qemu: Path, folder: Path, processors: int = 1, threads: str = "single") -> None:
        """Start it.

        Args:
            qemu: the binary.
            folder: for its memory and its log; exists.
            processors: 1 or 2; as many as the sequences have.
            threads: "single", or "multi" for a thread a processor.

        Raises:
            LabError: it does not start.
        """
        self.log = folder / "debug.log"
        ram = folder / "ram"
        with ram.open("wb") as file:
            file.truncate(_RAM)
            file.seek(_PROCESSORS_AT)
            file.write(_PROCESSORS.pack(processors, _PATIENCE[threads]))
        self._processors = processors
        extra = (
            *("-object", f"memory-backend-file,id=ram,size=64M,mem-path={ram},share=on"),
            *("-machine", "memory-backend=ram", "-smp", str(processors)),
            *("-accel", f"tcg,thread={threads}"),
        )
        rom = build_image(("t_model.c", "model.asm", "smp.asm")).rom
        arguments = qemu_arguments(qemu, rom, self.log, DUAL_CPU, extra)
        self._errors = (folder / "qemu.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=self._errors, preexec_fn=ends_with_parent()
        )
        self._file = ram.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), _RAM)
        self._ring = 0
        try:
            self._wait(lambda: self._shared()[8] != 0, 10.0)
        except Stopped as error:
            self.close()
            raise LabError(f"the machine does not start: {error}", ExitCode.GUEST_HUNG) from error
        ram.unlink()  # lives as long as it is mapped
        shared = self._shared()
        self.controls = Controls(shared[4], shared[5], shared[6])
        self._addresses = [
            {self._address(code) + step * _REGIONS_STEP: name for name, code in _REGIONS.items()}
            for step in range(processors)
        ]

    @staticmethod
    def _address(code: int) -> int:
        return (0x140_0000 if code < 8 else 0x3E2_0000) + 0x1000 * code

    def close(self) -> None:
        """End the machine."""
        self._process.kill()
        self._process.wait()
        self._memory.close()
        self._file.close()
        self._errors.close()

    def _shared(self) -> tuple[int, ...]:
        return _HEADER.unpack_from(self._memory, _SHARED)

    def _wait(self, happened: object, seconds: float) -> None:
        """Wait until the image has answered.

        Raises:
            Stopped: it has ended, or goes on for too long.
        """
        assert callable(happened)
        limit, pause = TimeLimit(self._process.pid, seconds), 0.0001
        while not happened():
            if self._process.poll() is not None:
                raise Stopped(f"it has ended: {self._last_line()}")
            if limit.left() <= 0:
                raise Stopped(f"it hangs at operation {self._shared()[3]}")
            time.sleep(pause)
            pause = min(2 * pause, 0.005)

    def _last_line(self) -> str:
        text = self.log.read_text(encoding="ascii", errors="replace") if self.log.exists() else ""
        return text.strip().splitlines()[-1] if text.strip() else "without a word"

    def run(self, sequences: Many[Sequence], seconds: float = 20.0) -> list[list[Seen]]:
        """What the machine did: for each sequence what was seen behind each operation.

        A sequence that ends otherwise than the rules say may leave the machine in a state from which the next does
        not begin; what it did then says nothing.

        Raises:
            Stopped: nothing more can be done with this machine; `observed` has what it did up to there.
        """
        data = b"".join(_list(one, self.controls) for one in sequences)
        count = len(data) // _OPERATION.size
        observations = count * self._processors
        if observations > MOST_OBSERVATIONS:
            raise ValueError(f"{observations} observations are more than {MOST_OBSERVATIONS}")
        self._memory[_OPERATIONS : _OPERATIONS + len(data)] = data
        size = observations * _OBSERVATION.size
        self._memory[_OBSERVATIONS : _OBSERVATIONS + size] = bytes(size)
        self._ring += 1
        struct.pack_into("<I", self._memory, _SHARED + 8, count)
        struct.pack_into("<I", self._memory, _SHARED, self._ring)
        self._wait(lambda: self._shared()[1] == self._ring, seconds)
        return self.observed(sequences)

    def observed(self, sequences: Many[Sequence]) -> list[list[Seen]]:
        """The observations of the last run, in the model's terms."""
        found, position = [], 0
        for one in sequences:
            position += self._processors
            found.append([self._seen(position + n, operation) for n, operation in enumerate(one.operations)])
            position += len(one.operations)
        return found

    def _seen(self, position: int, operation: Operation) -> Seen:
        return tuple(self._observation(position, number, operation) for number in range(self._processors))

    def _observation(self, position: int, processor: int, operation: Operation) -> Observation | None:
        at = _OBSERVATIONS + (position * self._processors + processor) * _OBSERVATION.size
        words = _OBSERVATION.unpack_from(self._memory, at)
        mark, program, how, result, value, reason, length, interruptibility, activity = words[:9]
        entry, injection, interruption, smbase, qualification, executive, link, current, nmis = words[9:]
        if mark != position + 1:
            return None
        name = _PROGRAMS[program % _PROGRAMS_OF_ONE]
        seen = Observation(name if program // _PROGRAMS_OF_ONE == processor else f"{name} of another", _HOW[how], nmis)
        if seen.how is How.DONE:
            return replace(seen, result=self._result(result, value, operation))
        if seen.how not in (How.EXIT, How.ACTIVATION):
            return seen
        fields: dict[str, object] = {
            "reason": reason,
            "qualification": qualification,
            "length": length,
            "interruption": interruption,
            "interruptibility": interruptibility,
            "activity": activity,
            "to_smm": bool(entry >> 10 & 1),
            "deactivate": bool(entry >> 11 & 1),
            "injection": injection if injection >> 31 else 0,
            "smbase": smbase - _SMBASE_STEP * processor,
            "executive": self._named(executive, processor),
            "link": self._named(link, processor),
            "current": self._named(current, processor),
        }
        return replace(seen, exit=fields)

    def _named(self, value: int, processor: int) -> object:
        return _pointer(value) if value in _NAMES else _field("link", value, self._addresses[processor])

    def _result(self, flags: int, value: int, operation: Operation) -> Result:
        if flags & _FAULT:
            return Result(fault=flags & 0xFF)
        if flags == _CF:
            return Result(failed=True)
        if flags == _ZF:
            return Result(failed=True, errors=frozenset({value}))
        if flags:
            return Result(value=f"flags {flags:#x}")
        if operation.name == "vmptrst":
            return Result(value=_pointer(value))
        if operation.name == "vmread":
            return Result(value=_field(operation.field, value, self._addresses[operation.processor]))
        if operation.name == "rdmsr" and operation.msr == SMBASE_MSR:
            return Result(value=value - _SMBASE_STEP * operation.processor)
        return Result(value=value if operation.name == "rdmsr" else None)
