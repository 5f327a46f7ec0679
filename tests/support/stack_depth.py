# SPDX-License-Identifier: BSD-2-Clause-Patent
"""How much stack a linked image of ours can take: frames by .debug_frame, calls by disassembly.

A function's frame at a call is what the compiler has told the debugger of it. In assembly, and
where a frame pointer hides it, all pushes up to there are counted, and what is subtracted.
Functions are told by the names that the sources have, without what the compiler adds to those
of its copies.
"""

from __future__ import annotations

import re
import subprocess
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FDE = re.compile(r"^[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)")
_ROW = re.compile(r"^([0-9a-f]{16}) (r\w+)\+(\d+)\s")
_INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\t(\S+)\s*(.*)$")
_TARGET = re.compile(r"<([\w.]+)>$")
# What the compiler adds to a name, and labels of NASM's within a function.
_SUFFIX = re.compile(r"(?<=\w)\..*$")
_SYMBOL = re.compile(r"^\s*\d+: [0-9a-f]+\s+\S+\s+OBJECT\s.*\s(\S+)$", re.MULTILINE)
_PUSH = 8


class Recursion(Exception):
    """A function calls itself, by way of others or at once: its stack has no bound. The text is the way."""


@dataclass
class Function:
    """A function of the image.

    Attributes:
        frame: most bytes below its caller's stack pointer, its return address included.
        calls: (bytes below the caller's stack pointer at the call, name of the callee); "" for one by a register.
    """

    name: str
    frame: int = _PUSH
    calls: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Worst:
    """The deepest way from a function: bytes below its caller's stack pointer, and the functions on it."""

    size: int
    path: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.size} bytes: {' -> '.join(self.path)}"


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


_SUBTRACTION = re.compile(r"^\$0x([0-9a-f]+),%rsp$")


def _frames(text: str) -> dict[int, tuple[list[int], list[int]]]:
    """By the address of each function: addresses from which on the distance of the caller's RSP is known, and that.

    Functions with a frame pointer are not there.
    """
    found: dict[int, tuple[list[int], list[int]]] = {}
    rows: tuple[list[int], list[int]] = ([], [])
    for line in text.splitlines():
        if match := _FDE.match(line):
            start = int(match[1], 16)
            rows = found[start] = ([start], [_PUSH])
        elif match := _ROW.match(line):
            if match[2] != "rsp":
                found = {at: one for at, one in found.items() if one is not rows}
                continue
            rows[0].append(int(match[1], 16))
            rows[1].append(int(match[3]))
        elif "CIE" in line:
            rows = ([], [])
    return found


def read_functions(path: Path) -> dict[str, Function]:
    """The functions of an x86-64 ELF image with debug data."""
    frames = _frames(_output("readelf", "--debug-dump=frames-interp", str(path)))
    data = set(_SYMBOL.findall(_output("readelf", "--symbols", "--wide", str(path))))
    found: dict[str, Function] = {}
    function: Function | None = None
    told, rows, depth = False, ([0], [_PUSH]), 0
    for line in _output("objdump", "-d", "--no-show-raw-insn", str(path)).splitlines():
        if line.endswith(">:"):
            start, name = line[:-2].split(" <")
            if name in data or name.startswith("."):
                function = None
                continue
            address, name = int(start, 16), _SUFFIX.sub("", name)
            told = address in frames
            rows = frames.get(address, ([address], [_PUSH]))
            function = found.setdefault(name, Function(name))
            function.frame, depth = max(function.frame, *rows[1]), _PUSH
            continue
        match = _INSTRUCTION.match(line)
        if match is None or function is None:
            continue
        code, operands = match[2], match[3]
        if told:
            depth = rows[1][bisect_right(rows[0], int(match[1], 16)) - 1]
        elif code == "push":
            depth += _PUSH
            function.frame = max(function.frame, depth)
        elif code == "sub" and (subtraction := _SUBTRACTION.match(operands)):
            depth += int(subtraction[1], 16)
            function.frame = max(function.frame, depth)
        target = _TARGET.search(operands)
        callee = _SUFFIX.sub("", target[1]) if target else ""
        if code == "call":
            function.calls.append((depth, "" if operands.startswith("*") else callee))
        elif code == "jmp" and callee and callee != function.name:
            function.calls.append((depth - _PUSH if told else 0, callee))
    return found


def worst(
    functions: Mapping[str, Function],
    root: str,
    indirect: Mapping[str, tuple[str, ...]],
    nested: Mapping[str, int] | None = None,
) -> Worst:
    """The deepest way from a function.

    Args:
        functions: of the image.
        root: the function.
        indirect: by the name of a function, where its calls through a register go, and its jumps out of the image's
            functions; of one without calls of its own that count, nowhere: ().
        nested: functions that are more than once on a way, and how often at most.

    Raises:
        Recursion: there is no deepest one.
        KeyError: a function is called that is not there, or through a register by one that is not in `indirect`.
    """
    limits = nested or {}
    known: dict[tuple[str, tuple[int, ...]], Worst] = {}

    def deepest(name: str, way: tuple[str, ...]) -> Worst | None:
        if way.count(name) >= limits.get(name, 1):
            if name not in limits:
                raise Recursion(" -> ".join((*way, name)))
            return None
        key = name, tuple(way.count(one) for one in limits)
        if key not in known:
            function = functions[name]
            found = [Worst(function.frame, (name,))]
            for depth, callee in function.calls:
                for one in (callee,) if callee else indirect[name]:
                    below = deepest(one, (*way, name))
                    if below is not None:
                        found.append(Worst(depth + below.size, (name, *below.path)))
            known[key] = max(found, key=lambda one: one.size)
        return known[key]

    result = deepest(root, ())
    assert result is not None
    return result
