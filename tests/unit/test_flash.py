# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What ``stuart_build --FlashRom`` says when it cannot boot."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from build_scripts.builds import firmware_build
from build_scripts.errors import ExitCode

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Platform" / "OvmfStmPkg"))

import flash


def _said(caplog: pytest.LogCaptureFixture) -> str:
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    return caplog.records[0].getMessage()


def _images(output: Path) -> None:
    for place in firmware_build.FILES.values():
        (output / place).parent.mkdir(parents=True, exist_ok=True)
        (output / place).write_bytes(b"")


def test_without_a_build_there_is_one_error_with_the_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert flash.flash(flash.Request(output=tmp_path)) == ExitCode.USAGE
    said = _said(caplog)
    assert "OVMF_CODE.fd does not exist" in said and "remedy: build it first: stuart_build" in said


def test_an_unknown_binary_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _images(tmp_path)
    assert flash.flash(flash.Request(output=tmp_path, qemu="no-such-qemu")) == ExitCode.USAGE
    assert "no QEMU: no-such-qemu" in _said(caplog)


def test_without_a_binary_it_is_the_labs_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _images(tmp_path)
    booted: list[Path] = []

    def boot(request: flash.Request, firmware: firmware_build.Firmware, binary: Path) -> int:
        booted.append(binary)
        return 0

    monkeypatch.setattr(flash, "_demonstration", boot)
    monkeypatch.setattr(flash, "extended_qemu", lambda: Path("/ours"))
    assert flash.flash(flash.Request(output=tmp_path)) == 0
    assert flash.flash(flash.Request(output=tmp_path, qemu=sys.executable)) == 0
    assert booted == [Path("/ours"), Path(sys.executable)]


def test_an_stm_image_that_cannot_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _images(tmp_path)
    absent = tmp_path / "absent.mseg"
    assert flash.flash(flash.Request(output=tmp_path, stm_image=str(absent))) == ExitCode.USAGE
    assert f"STM_IMAGE={absent}: No such file" in _said(caplog)
