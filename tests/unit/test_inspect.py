# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``inspect`` on files that are no image: bounded, and each named."""

from __future__ import annotations

import os
import re
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import cli
from build_scripts.errors import ExitCode
from build_scripts.stm_image import convert, inspect_image, layout
from tests.host.test_convert import GOOD

GIGABYTE = 1024**3


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "Stm.mseg"
    path.write_bytes(convert(GOOD.bytes()).data)
    return path


def test_good_image(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(image)]) == ExitCode.OK
    assert "no problem found" in capsys.readouterr().out


def test_huge_file_is_not_read(checkout: Path, tmp_path: Path) -> None:
    """3 GiB, with 1 GiB of address space: refused, and the memory suffices."""
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(3 * GIGABYTE)
    result = subprocess.run(
        [sys.executable, "-m", "build_scripts", "inspect", str(huge)],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GIGABYTE, GIGABYTE)),
    )
    assert result.returncode == ExitCode.USAGE, result.stderr
    assert result.stderr.splitlines() == [f"stmlab: {huge}: more than 64 MB, so it fits no MSEG"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("folder", "is a directory"), ("pipe", "is no ordinary file"), ("absent", "no such file"), ("short", "less than")],
)
def test_what_is_no_image_is_named(name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory is not "no such file"; a pipe is not waited for."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "short").write_bytes(b"x")
    assert cli.main(["inspect", str(tmp_path / name)]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert words in error and str(tmp_path / name) in error and error.count("\n") == 1


def test_mseg_is_that_of_the_firmware(image: Path, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stack pointer at 3 MB is behind this firmware's MSEG, so it would refuse the image."""
    size = re.search(r"PcdMsegSize\|(0x[0-9A-F]+)\|", (checkout / "StmPkg" / "StmPkg.dec").read_text(encoding="utf-8"))
    assert size is not None and int(size[1], 16) == layout.MSEG_SIZE
    data = bytearray(image.read_bytes())
    struct.pack_into("<I", data, layout.MsegHeader.offsets()["EspOffset"], 0x30_0000)
    image.write_bytes(data)
    assert cli.main(["inspect", str(image)]) == ExitCode.USAGE
    assert "PROBLEM: MSEG header: EspOffset 0x300000 is behind MSEG" in capsys.readouterr().out


def test_bytes_behind_an_image_are_a_problem(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 MB behind the image."""
    image.write_bytes(image.read_bytes() + bytes(1024**2))
    assert cli.main(["inspect", str(image)]) == ExitCode.USAGE
    out = capsys.readouterr().out
    assert "PROBLEM: 1048576 bytes follow the image" in out and "no problem found" not in out
    assert len(inspect_image(image.read_bytes()).problems) == 1


@pytest.mark.parametrize(
    "command", ["build_scripts inspect", "build_scripts.stm_image inspect", "build_scripts run --list"]
)
def test_output_into_head(command: str, checkout: Path, image: Path) -> None:
    """A reader that leaves early ends the command without a word."""
    read, write = os.pipe()
    os.close(read)  # it has left before the first byte, so that no buffer decides
    result = subprocess.run(
        [sys.executable, "-m", *command.split(), *([str(image)] if command.endswith("inspect") else [])],
        cwd=checkout,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (141, "")
