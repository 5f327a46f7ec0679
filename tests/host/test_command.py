# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The commands of a Shell tool: which one a call asks for, what it gets, and what is said if there is none."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import pytest

from tests.host.conftest import Build

EFI_INVALID_PARAMETER = (1 << 63) | 2
EFI_ABORTED = (1 << 63) | 21
RUN = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p))


class Command(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("usage", ctypes.c_void_p),
        ("least", ctypes.c_uint64),
        ("most", ctypes.c_uint64),
        ("run", RUN),
    ]


@dataclass
class Tool:
    """A tool with four commands; it notes which of them ran, and with how many arguments."""

    library: ctypes.CDLL
    status: int = 0
    ran: list[tuple[str, int]] = field(default_factory=list)
    kept: list[object] = field(default_factory=list)

    def text(self, value: str) -> int:
        buffer = ctypes.create_string_buffer(value.encode("utf-16-le") + b"\0\0")
        self.kept.append(buffer)
        return ctypes.addressof(buffer)

    def command(self, name: str, usage: str, least: int, most: int) -> Command:
        def run(count: int, _arguments: object) -> int:
            self.ran.append((name, count))
            return self.status

        return Command(self.text(name), self.text(usage), least, most, RUN(run))

    def call(self, *words: str) -> tuple[int, str]:
        """The tool's status and what it printed."""
        table = (Command * 4)(
            self.command("", "", 0, 0),
            self.command("read", "[OFFSET]", 0, 1),
            self.command("write", "OFFSET VALUE", 2, 2),
            self.command("write-all", "", 0, 0),
        )
        arguments = (ctypes.c_void_p * (len(words) + 1))(self.text("Tool.efi"), *(self.text(word) for word in words))
        length = ctypes.c_uint64.in_dll(self.library, "TestLength")
        length.value = 0
        status = self.library.StmRunCommand(self.text("Tool"), table, 4, len(words) + 1, arguments)
        printed = (ctypes.c_uint16 * 4096).in_dll(self.library, "TestPrinted")
        return status, bytes(printed)[: 2 * length.value].decode("utf-16-le")


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    loaded = build_library("command", "tests/host/command_stub.c", "StmPkg/Library/StmCommandLib/StmCommandLib.c")
    loaded.StmRunCommand.restype = ctypes.c_int64
    loaded.StmRunCommand.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(Command),
        ctypes.c_uint64,
        ctypes.c_uint64,
        ctypes.POINTER(ctypes.c_void_p),
    ]
    return loaded


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((), ""),
        (("read",), "read"),
        (("read", "10"), "read"),
        (("write", "10", "ff"), "write"),
        (("write-all",), "write-all"),
    ],
)
def test_first_word_chooses(library: ctypes.CDLL, words: tuple[str, ...], name: str) -> None:
    """The command gets the arguments as the tool did, and its own status is the tool's, without the high bit."""
    for status, seen in ((0, 0), (EFI_ABORTED, 21)):
        tool = Tool(library, status)
        assert tool.call(*words) == (seen, "")
        assert tool.ran == [(name, len(words) + 1)]


@pytest.mark.parametrize(
    "words", [("rea",), ("reads",), ("Read",), ("read", "1", "2"), ("write",), ("write", "1"), ("write", "1", "2", "3")]
)
def test_usage_is_said_where_none_fits(library: ctypes.CDLL, words: tuple[str, ...]) -> None:
    tool = Tool(library)
    status, printed = tool.call(*words)
    assert status == EFI_INVALID_PARAMETER & ~(1 << 63) and tool.ran == []
    assert printed.splitlines() == [
        "usage: Tool",
        "       Tool read [OFFSET]",
        "       Tool write OFFSET VALUE",
        "       Tool write-all",
    ]


def test_usage_is_said_where_a_command_refuses_its_words(library: ctypes.CDLL) -> None:
    tool = Tool(library, EFI_INVALID_PARAMETER)
    status, printed = tool.call("read", "x")
    assert status == 2 and tool.ran == [("read", 3)]
    assert printed.startswith("usage: Tool\n")
