# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``ExecMon log new``: what number of pages is asked for, and what is said of one that cannot be."""

from __future__ import annotations

import ctypes

import pytest

from tests.host.conftest import Build

EFI_SUCCESS, EFI_INVALID_PARAMETER = 0, (1 << 63) | 2
NEW_LOG = 1
MOST = 4


@pytest.fixture(scope="module")
def library(build_library: Build) -> ctypes.CDLL:
    files = ("tests/host/event_log_stub.c", "StmPkg/ExecutiveMonitor/Loader/EventLog.c")
    built = build_library("event_log", *files, lazy=True)
    built.ExecEventLog.restype = ctypes.c_uint64
    return built


def log_new(library: ctypes.CDLL, pages: str) -> tuple[int, int, str]:
    """The status, what was asked of the STM (0 for nothing), and the format of what was printed."""
    call = ctypes.c_uint64.in_dll(library, "TestCall")
    call.value = 0
    action, value = (ctypes.create_string_buffer(word.encode("utf-16-le") + b"\0\0") for word in ("new", pages))
    status = library.ExecEventLog(action, value)
    printed = bytes((ctypes.c_uint16 * 64).in_dll(library, "TestPrinted")).decode("utf-16-le")
    return status, call.value, printed.split("\0")[0]


@pytest.mark.parametrize("pages", [0, 1, MOST])
def test_a_log_of_pages(library: ctypes.CDLL, pages: int) -> None:
    """The STM is asked for as many; of none it says itself what it thinks."""
    status, call, _printed = log_new(library, str(pages))
    assert (status, call) == (EFI_SUCCESS, NEW_LOG | pages << 32)


@pytest.mark.parametrize("pages", [MOST + 1, 2**32, 2**32 + 1, 2**64 + 1, 10**40])
def test_too_many_pages_are_refused(library: ctypes.CDLL, pages: int) -> None:
    """Also where the low half of the number, or what it is modulo 2 to the 64, would do."""
    status, call, printed = log_new(library, str(pages))
    assert (status, call) == (EFI_INVALID_PARAMETER, 0)
    assert printed == "ExecMon: a log has at most %d pages\n"
