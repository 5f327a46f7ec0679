# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The compilation database: whose files, and by which path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_scripts.builds import compile_commands, firmware_build, qemu_build
from build_scripts.errors import LabError


def database(path: Path, *entries: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


def test_machine_files_are_those_of_the_checkout(tmp_path: Path) -> None:
    build, ours, overlay = tmp_path / "build", tmp_path / "src/target/i386/tcg/vmx", tmp_path / "checkout/vmx"
    relative = "../src/target/i386/tcg/vmx/vmcs.c"
    found = compile_commands.machine_entries(
        database(
            build / "compile_commands.json",
            {"directory": str(build), "command": f"cc -I. -o vmcs.o -c {relative}", "file": relative},
            {"directory": str(build), "command": "cc -c ../src/cpus.c", "file": "../src/cpus.c"},
        ),
        ours,
        overlay,
    )
    file = str(overlay / "vmcs.c")
    assert found == [{"directory": str(build), "command": f"cc -I. -o vmcs.o -c {file}", "file": file}]


def test_firmware_files_are_ours(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    entries = [
        {"directory": "/d", "command": "gcc x", "file": str(checkout / "StmPkg/Stm/Exit/Smi.c")},
        {"directory": "/d", "command": "gcc y", "file": str(checkout / "Build/OvmfStm/AutoGen.c")},
        {"directory": "/d", "command": "gcc z", "file": str(tmp_path / "edk2/MdePkg/a.c")},
    ]
    assert compile_commands.firmware_entries(database(tmp_path / "db.json", *entries), checkout) == entries[:1]


def test_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu_build, "updated_tree", lambda: tmp_path)
    monkeypatch.setattr(compile_commands, "machine_entries", lambda *_arguments: [])
    info = database(tmp_path / "db.json")
    monkeypatch.setattr(firmware_build, "compile_info", lambda: info)
    with pytest.raises(LabError, match=r"--output .*: No such file"):
        compile_commands.write(tmp_path / "nowhere" / "db.json")
