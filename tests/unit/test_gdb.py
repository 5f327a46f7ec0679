# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What a session with GDB begins with, and what its symbols are."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine import gdb
from build_scripts.observation.symbols import compiled_in, loaded_modules

LOG = """\
Loading driver at 0x0001EAC6000 EntryPoint=0x0001EAC9DDB PiSmmIpl.efi
Loading SMM driver at 0x0001FDBC000 EntryPoint=0x0001FDCBDBD PiSmmCpuDxeSmm.efi
Loading SMM driver at 0x0001FD50000 EntryPoint=0x0001FD58AA0 VariableSmm.efi
"""


def test_commands() -> None:
    """Symbols before the connection, the breakpoint behind it; without a place the machine stands still."""
    files = [gdb.SymbolFile(Path("/a/Stm.debug"), 0x1FE01000), gdb.SymbolFile(Path("/b/X.debug"), 0x1000)]
    lines = gdb.commands(Path("/run/gdb.sock"), files, "Entry", ["/elsewhere", str(paths.CHECKOUT)])
    assert f"set substitute-path /elsewhere {paths.CHECKOUT}" in lines
    assert sum("substitute-path" in line for line in lines) == 1
    assert lines[-5:] == [
        "add-symbol-file /a/Stm.debug -o 0x1fe01000",
        "add-symbol-file /b/X.debug -o 0x1000",
        "target remote /run/gdb.sock",
        "break Entry",
        "continue",
    ]
    assert gdb.commands(Path("/run/gdb.sock"), files, None)[-1] == "target remote /run/gdb.sock"


def test_no_gdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error with a remedy."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="no gdb") as raised:
        gdb.session(tmp_path, ["quit"], ())
    assert raised.value.code == ExitCode.MISSING_PACKAGES and raised.value.remedy == "install gdb"


def test_modules_that_the_firmware_loaded(tmp_path: Path) -> None:
    log = tmp_path / "firmware.log"
    assert loaded_modules(log) == {}
    log.write_text(LOG)
    assert list(loaded_modules(log).values()) == ["PiSmmIpl.efi", "PiSmmCpuDxeSmm.efi", "VariableSmm.efi"]
    assert loaded_modules(log, smm=True) == {0x1FDBC000: "PiSmmCpuDxeSmm.efi", 0x1FD50000: "VariableSmm.efi"}


def test_where_a_file_was_compiled(tmp_path: Path) -> None:
    file = tmp_path / "X.debug"
    file.write_bytes(b"\0/usr/lib\0/src/tree one/Build/OvmfStm/DEBUG_GCC/X64\0")
    assert compiled_in(file) == "/src/tree one"
    file.write_bytes(b"\0/usr/lib\0")
    assert compiled_in(file) is None
