# SPDX-License-Identifier: BSD-2-Clause-Patent
"""QEMU as a process: its command line, its start, its end. Uses the distribution's QEMU without firmware."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from build_scripts.errors import LabError
from build_scripts.machine import processors
from build_scripts.machine.machine import Machine, boot
from build_scripts.machine.processors import (
    Configuration,
    Guest,
    arguments,
    has_dual_monitor,
    keeps_port_for_smm,
    version,
)

FLASH_SIZE = 0x20000
# At the reset vector: CLI, HLT.
HALTED = bytes(FLASH_SIZE - 16) + b"\xfa\xf4" + bytes(14)
# At the reset vector: MOV DX, CF9H; MOV AL, 6; OUT DX, AL: a reset.
RESETTING = bytes(FLASH_SIZE - 16) + b"\xba\xf9\x0c\xb0\x06\xee\xf4" + bytes(9)


def stock() -> Path:
    found = shutil.which("qemu-system-x86_64", path="/usr/bin:/usr/local/bin") or shutil.which("qemu-system-x86_64")
    assert found is not None
    return Path(found)


def guest(folder: Path, code: bytes, **changes: object) -> Guest:
    (folder / "code.fd").write_bytes(code)
    (folder / "vars.fd").write_bytes(bytes(FLASH_SIZE))
    values = {
        "qemu": stock(),
        "cpu": Configuration.STOCK.cpu,
        "code": folder / "code.fd",
        "variables": folder / "vars.fd",
    }
    return Guest(**{**values, **changes})  # type: ignore[arg-type]


def test_command_line_holds_what_the_platform_needs(tmp_path: Path) -> None:
    made = guest(tmp_path, HALTED, script=("reset -s",), trace=("vmx_*",), extra=("-gdb", "unix:x"))
    line = arguments(made, tmp_path)
    text = " ".join(line)
    assert "q35,smm=on" in text and "-no-reboot" in line and "mch.extended-tseg-mbytes=16" in text
    assert "driver=cfi.pflash01,property=secure,value=on" in text
    assert "name=opt/org.stmlab/script" in text and "-trace vmx_*" in text
    assert line[-2:] == ["-gdb", "unix:x"]
    assert "-icount" in line and "-icount" not in arguments(guest(tmp_path, HALTED, icount=False), tmp_path)


def test_port_of_the_stm_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed to all but SMM on the lab's machine; without VMX there is no STM, and no port."""
    assert not keeps_port_for_smm(stock())
    assert not keeps_port_for_smm(tmp_path / "none")
    monkeypatch.setattr(processors, "keeps_port_for_smm", lambda _qemu: True)
    port = "isa-debugcon,iobase=0x403,chardev=stm"
    vmx = guest(tmp_path, HALTED, cpu=Configuration.DUAL_MONITOR.cpu)
    assert f"{port},secure=on" in arguments(vmx, tmp_path)
    assert not [word for word in arguments(guest(tmp_path, HALTED), tmp_path) if "0x403" in word]


def test_cpu_models() -> None:
    assert Configuration.DUAL_MONITOR.cpu == Configuration.NO_DUAL_MONITOR.cpu + ",vmx-dual-monitor=on"
    assert "+vmx" in Configuration.NO_DUAL_MONITOR.cpu
    assert "+vmx" not in Configuration.STOCK.cpu and not Configuration.STOCK.extended


def test_the_binary_is_asked() -> None:
    assert not has_dual_monitor(stock())
    assert version(stock())[0].isdigit()


def test_hang_is_ended(tmp_path: Path) -> None:
    ending = boot(guest(tmp_path, HALTED), tmp_path / "run", timeout=1.0)
    assert ending.reason == "timeout" and ending.status is None
    assert not list((tmp_path / "run").glob("*.sock"))


def test_reset_is_told_from_shutdown(tmp_path: Path) -> None:
    ending = boot(guest(tmp_path, RESETTING), tmp_path / "run", timeout=20.0)
    assert ending.reason == "guest-reset" and ending.status == 0 and not ending.requested


def test_variable_store_is_copied(tmp_path: Path) -> None:
    made = guest(tmp_path, HALTED)
    made.variables.chmod(0o444)
    boot(made, tmp_path / "run", timeout=1.0)
    assert made.variables.read_bytes() == bytes(FLASH_SIZE)
    assert (tmp_path / "run" / "OVMF_VARS.fd").is_file()


def test_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no-such-cpu"):
        boot(guest(tmp_path, HALTED, cpu="no-such-cpu"), tmp_path / "run")


def test_missing_binary_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="could not be started"):
        boot(guest(tmp_path, HALTED, qemu=tmp_path / "absent"), tmp_path / "run")


def test_long_run_directory(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with Machine(guest(tmp_path, HALTED), deep) as machine:
        machine.resume()
        assert machine.qmp("query-status")["running"]
        assert "CPU#0" in machine.monitor("info registers")
