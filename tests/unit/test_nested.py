# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a nested build gets of the environment, and which lines of its output name the cause."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from build_scripts import nested, progress
from build_scripts.errors import LabError
from build_scripts.progress import run_logged, step
from tests.support.hostile import HOSTILE

NEEDED = {
    "PATH": "/usr/bin",
    "HOME": "/home/somebody",
    "https_proxy": "http://proxy:3128",
    "XDG_CACHE_HOME": "/cache",
    "CCACHE_DIR": "/ccache",
    "EDK2_DIR": "/edk2",
    "QEMU_PATH": "/usr/bin/qemu-system-x86_64",
    "STM_IMAGE": "/images/Other.mseg",
}


def test_nothing_hostile_gets_through_and_nothing_needed_is_lost() -> None:
    assert nested.clean_environment({**HOSTILE, **NEEDED}) == NEEDED


def test_own_environment_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    nested.clean_own_environment()
    assert nested.clean_environment() == dict(os.environ)
    assert not set(HOSTILE) & set(os.environ)


def test_a_command_gets_the_clean_environment_and_its_own_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log"
    with step("environment") as shown:
        code = "import json, os; print(json.dumps(dict(os.environ)))"
        run_logged([sys.executable, "-c", code], log, shown, "dump", environment={"MAKEFLAGS": "", "OWN": "1"})
    seen = json.loads(log.read_text().splitlines()[-1])
    assert seen["OWN"] == "1" and seen["MAKEFLAGS"] == ""
    assert not (set(HOSTILE) - {"MAKEFLAGS"}) & set(seen)


# Output of a failed build, and the lines of it that name the cause.
OUTPUTS = {
    "gcc": (
        (
            "Building ... StmPkg/Stm/Stm.inf",
            "In file included from Smi.c:9:",
            "Smi.c:14:3: warning: unused variable",
            "Smi.c:20:1: error: expected ';' before '}' token",
            "make: *** [GNUmakefile:350: Smi.obj] Error 1",
            "build.py...",
            " : error 7000: Failed to execute command",
        ),
        ["Smi.c:20:1: error: expected ';' before '}' token"],
    ),
    "nasm": (
        ("Entry.nasm:12: error: symbol `x' not defined", "make: *** Error 1"),
        ["Entry.nasm:12: error: symbol `x' not defined"],
    ),
    "linker": (
        ("Stm.c:(.text+0x1): undefined reference to `memset'", "collect2: error: ld returned 1 exit status"),
        ["Stm.c:(.text+0x1): undefined reference to `memset'", "collect2: error: ld returned 1 exit status"],
    ),
    "edk2": (
        ("build.py...", "Stm.inf(24): error 000E: File/directory not found in workspace", " - Failed -"),
        ["Stm.inf(24): error 000E: File/directory not found in workspace"],
    ),
    "configure": (
        ("Checking for glib", "ERROR: glib-2.56 gio-2.0 is required to compile QEMU"),
        ["ERROR: glib-2.56 gio-2.0 is required to compile QEMU"],
    ),
}


@pytest.mark.parametrize("tool", list(OUTPUTS))
def test_the_cause_is_found(tool: str) -> None:
    lines, expected = OUTPUTS[tool]
    causes = nested.Causes()
    for line in lines:
        causes.read(line)
    assert causes.found == expected


def test_a_failed_command_names_the_cause_far_from_its_end(tmp_path: Path) -> None:
    code = "print('a.c:1:2: error: no such type'); [print('noise', n) for n in range(100)]; raise SystemExit(3)"
    with pytest.raises(LabError) as failure, step("failing") as shown:
        run_logged([sys.executable, "-c", code], tmp_path / "log", shown, "the compiler")
    assert failure.value.message == "the compiler failed (status 3):\na.c:1:2: error: no such type"


def test_a_failed_command_without_a_known_cause_shows_its_end(tmp_path: Path) -> None:
    with pytest.raises(LabError) as failure, step("failing") as shown:
        run_logged([sys.executable, "-c", "print('the end'); raise SystemExit(3)"], tmp_path / "log", shown, "it")
    assert failure.value.message.endswith("\nthe end")


@pytest.mark.parametrize("verbose", [False, True])
def test_output_is_shown_if_asked_for(
    verbose: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``build -v``: on standard error, since standard output belongs to the result; and in the log as ever."""
    monkeypatch.setattr(progress._Output, "shown", False)
    if verbose:
        progress.show_output()
    with step("building") as shown:
        run_logged([sys.executable, "-c", "print('CC smi.o')"], tmp_path / "log", shown, "it")
    out, err = capsys.readouterr()
    assert out == "" and ("CC smi.o\n" in err) == verbose
    assert "CC smi.o" in (tmp_path / "log").read_text()
