# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``ExecMon.efi log`` and ``ExecMon.efi domain``: what they refuse themselves, and what the STM refuses. One boot."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.experiments.shell import Result, boot_configuration
from build_scripts.machine.processors import Configuration

from .conftest import BOOT_TIMEOUT_SECONDS

pytestmark = pytest.mark.boot

# The Shell's status: EFI_STATUS without its high bit.
DONE, INVALID_PARAMETER, NOT_FOUND, ACCESS_DENIED, NOT_STARTED = 0, 0x02, 0x0E, 0x0F, 0x13
EVENT_LOG, DATABASE = 0x1_0008, 0x1_0006
INVALID_DATABASE, INVALID_PAGECOUNT, LOG_ALLOCATED = 0x8001_000C, 0x8001_000E, 0x8001_000F
LOG_NOT_ALLOCATED, LOG_NOT_STOPPED, LOG_NOT_STARTED, NO_EVENTS_ENABLED = (
    0x8001_0010, 0x8001_0011, 0x8001_0012, 0x8001_0014,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A command: its status, the STM's if it was asked, and words of its own on the screen."""

    command: str
    status: int = DONE
    stm: int | None = None
    words: str = ""


def asked(command: str, stm: int = 0) -> Row:
    """A command that the STM answers."""
    return Row(command, ACCESS_DENIED if stm else DONE, stm, f"the STM refused, status 0x{stm:X}" if stm else "")


NO_GUEST = "this shell is no guest, or there is no STM"
NO_LOG = "there is no event log; make one: ExecMon log new"
ROWS = (
    Row("log", NOT_STARTED, words=NO_GUEST),
    Row("log new", NOT_STARTED, words=NO_GUEST),
    Row("domain add integrity", NOT_STARTED, words=NO_GUEST),
    Row("start"),
    Row("log", NOT_FOUND, words=NO_LOG),
    *(asked(f"log {word}", LOG_NOT_ALLOCATED) for word in ("configure", "start", "stop", "clear", "delete")),
    asked("log new 0", INVALID_PAGECOUNT),
    Row("log new 5", INVALID_PARAMETER, words="a log has at most 4 pages"),
    Row("log renew", INVALID_PARAMETER, words="usage: ExecMon start"),
    Row("log start 1", INVALID_PARAMETER),
    Row("log", NOT_FOUND, words=NO_LOG),
    asked("log new 4"),
    asked("log new", LOG_ALLOCATED),
    asked("log stop", LOG_NOT_STARTED),
    asked("log start", NO_EVENTS_ENABLED),
    Row("log configure access-denied,no-such", INVALID_PARAMETER, words="is no event; there are all, "),
    asked("log start", NO_EVENTS_ENABLED),
    asked("log configure"),
    asked("log start"),
    *(asked(f"log {word}", LOG_NOT_STOPPED) for word in ("start", "configure", "clear", "delete")),
    asked("log new", LOG_ALLOCATED),
    asked("log stop"),
    asked("log delete"),
    Row("log", NOT_FOUND, words=NO_LOG),
    Row("domain", INVALID_PARAMETER),
    Row("domain add", INVALID_PARAMETER),
    Row("domain put integrity", INVALID_PARAMETER),
    Row("domain remove now", INVALID_PARAMETER),
    Row("domain add integrity,secret", INVALID_PARAMETER, words="secret is no domain type; there are unprotected, "),
    Row("domain add integrity wipe", INVALID_PARAMETER, words="wipe is no XState policy; there are read-write, "),
    Row("domain add integrity scrub secret", INVALID_PARAMETER, words="secret is no domain type; there are "),
    asked("domain remove", INVALID_DATABASE),
    asked("domain add integrity,confidentiality scrub integrity"),
    asked("domain add unprotected", INVALID_DATABASE),
    asked("domain remove"),
    asked("domain remove", INVALID_DATABASE),
    Row("stop"),
    Row("log", NOT_STARTED, words=NO_GUEST),
    Row("domain remove", NOT_STARTED, words=NO_GUEST),
)


@pytest.fixture(scope="module")
def booted(firmware: Firmware) -> Result:
    script = (*(f"ExecMon.efi {row.command}" for row in ROWS), "reset -s")
    result = boot_configuration(Configuration.DUAL_MONITOR, firmware, script, BOOT_TIMEOUT_SECONDS)
    assert result.ending.requested and result.stream.errors == (), f"{result.run_dir}: {result.ending}"
    return result


def test_each_command_has_its_status(booted: Result) -> None:
    ended = {record.number("line"): record.number("status") for record in booted.stream.of("APP", "script-status")}
    seen = [(row.command, hex(ended[line])) for line, row in enumerate(ROWS, start=1)]
    assert seen == [(row.command, hex(row.status)) for row in ROWS], booted.run_dir


def test_the_stm_is_asked_what_only_it_knows(booted: Result) -> None:
    """A word that is none does not reach it; whatever it answers comes back."""
    calls = [
        (record.number("api"), hex(record.number("status")))
        for record in booted.stream.of("EXEC", "stm-call")
        if record.number("api") in (EVENT_LOG, DATABASE)
    ]
    wanted = [
        (EVENT_LOG if row.command.startswith("log") else DATABASE, hex(row.stm)) for row in ROWS if row.stm is not None
    ]
    assert calls == wanted, booted.run_dir


def test_each_refusal_says_why(booted: Result) -> None:
    """In the order of the commands; and no domain is recorded but the one that was taken and removed."""
    console = (booted.run_dir / "console.log").read_text(encoding="utf-8", errors="replace")
    at = 0
    for row in ROWS:
        found = re.compile(re.escape(row.words), re.IGNORECASE).search(console, at)
        assert found is not None, f"{booted.run_dir}: {row.command}: {row.words}"
        at = found.end()
    assert [record.number("added") for record in booted.stream.of("EXEC", "domain")] == [1, 0]
