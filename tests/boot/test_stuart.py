# SPDX-License-Identifier: BSD-2-Clause-Patent
"""EDK II's own commands: stuart_build boots what it built and shows the STM, stuart_ci_build finds nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.builds import firmware_build
from build_scripts.builds.firmware_build import Firmware
from build_scripts.builds.qemu_build import BINARY, extended_qemu
from build_scripts.machine.machine import DEFAULT_TIMEOUT_SECONDS
from build_scripts.stm_image import inspect_image
from tests.support.hostile import HOSTILE
from tests.support.newcomer import environment

from .conftest import BUILD_TIMEOUT_SECONDS

PLATFORM_BUILD = Path("Platform/OvmfStmPkg/PlatformBuild.py")
CI_SETTINGS = Path(".pytool/CISettings.py")
CI_CHECKS = {"LibraryClassCheck", "CharEncodingCheck", "GuidCheck", "DependencyCheck", "DscCompleteCheck"}


def _stuart(
    checkout: Path, command: str, *arguments: str, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / command), *arguments],
        cwd=checkout,
        env=environment() | (variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS + DEFAULT_TIMEOUT_SECONDS,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone without anything built."""
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(paths.CHECKOUT), str(target)], check=True)
    return target


@pytest.fixture
def built(clone: Path, firmware: Firmware) -> Path:
    """A clone with the finished images where stuart_build leaves them."""
    output = clone / firmware_build.OUTPUT / f"DEBUG_{firmware_build.TOOL_CHAIN}"
    for name, place in firmware_build.FILES.items():
        (output / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(firmware.code.parent / name, output / place)
    return clone


def test_flash_boots_our_machine_and_shows_the_stm(built: Path) -> None:
    result = _stuart(built, "stuart_build", "-c", str(PLATFORM_BUILD), "--FlashOnly")
    assert result.returncode == 0, result.stdout
    assert f"machine: {extended_qemu()}" in result.stdout
    for step in ("SMM VM exit", "entry to handler", "RSM exit", "return"):
        assert step in result.stdout, result.stdout
    assert "dual-monitor" in result.stdout


def test_stm_image_is_what_the_firmware_runs(built: Path, firmware: Firmware, tmp_path: Path) -> None:
    """The built image with another last byte, which is read by nobody: the demonstration compares hashes."""
    data = bytearray(firmware.mseg.read_bytes())
    data[inspect_image(bytes(data)).software.static_image_size - 1] ^= 0x5A
    other = tmp_path / "Other.mseg"
    other.write_bytes(data)
    result = _stuart(built, "stuart_build", "-c", str(PLATFORM_BUILD), "--FlashOnly", f"STM_IMAGE={other}")
    assert result.returncode == 0, result.stdout
    assert "passed by fw_cfg" in result.stdout and "dual-monitor" in result.stdout


def test_qemu_path_of_the_environment_wins(built: Path) -> None:
    stock = shutil.which(BINARY)
    assert stock is not None
    result = _stuart(built, "stuart_build", "-c", str(PLATFORM_BUILD), "--FlashOnly", variables={"QEMU_PATH": stock})
    assert result.returncode == 0, result.stdout
    assert f"machine: {stock}" in result.stdout
    assert "no-vmx" in result.stdout


def test_flash_before_a_build_is_one_error(clone: Path) -> None:
    result = _stuart(clone, "stuart_build", "-c", str(PLATFORM_BUILD), "--FlashOnly")
    assert result.returncode != 0
    text = result.stdout
    assert "Traceback" not in text
    assert len(re.findall(r"CRITICAL - no firmware to boot", text)) == 1
    assert "remedy: build it first: stuart_build" in text


@pytest.mark.parametrize(("command", "settings"), [("stuart_build", PLATFORM_BUILD), ("stuart_ci_build", CI_SETTINGS)])
def test_a_wrong_edk2_tree_is_one_error(checkout: Path, tmp_path: Path, command: str, settings: Path) -> None:
    result = _stuart(checkout, command, "-c", str(settings), variables={"EDK2_DIR": str(tmp_path)})
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    assert f"error: EDK2_DIR={tmp_path} is not an edk2 tree" in result.stdout and "remedy: " in result.stdout


@pytest.mark.parametrize("package", ["StmPkg", "OvmfStmPkg"])
def test_edk2s_checks_find_nothing(checkout: Path, package: str) -> None:
    arguments = ("-c", str(CI_SETTINGS), "-p", package, "-t", "NO-TARGET")
    result = _stuart(checkout, "stuart_ci_build", *arguments, variables=HOSTILE)
    assert result.returncode == 0, result.stdout
    succeeded = {name.replace(" ", "") for name in re.findall(r"Test Success: (.+) Test NO-TARGET", result.stdout)}
    skipped = {"LibraryClassCheck"} if package == "OvmfStmPkg" else set()
    assert succeeded == CI_CHECKS - skipped, result.stdout


def test_edk2s_checks_find_what_is_wrong(clone: Path) -> None:
    """An INF that the DSC lacks, with the GUID of another."""
    module = clone / "StmPkg/Library/StmHashLib"
    (module / "Another.inf").write_text((module / "StmHashLib.inf").read_text().replace("= StmHashLib", "= Another"))
    result = _stuart(clone, "stuart_ci_build", "-c", str(CI_SETTINGS), "-p", "StmPkg", "-t", "NO-TARGET")
    assert result.returncode == 2, result.stdout
    assert set(re.findall(r"Test Failed: (.+) Test NO-TARGET", result.stdout)) == {"Guid Check", "Dsc Complete Check"}


@pytest.mark.slow
def test_every_module_compiles_by_itself(checkout: Path) -> None:
    arguments = ("-c", str(CI_SETTINGS), "-p", "StmPkg", "-t", "DEBUG")
    result = _stuart(checkout, "stuart_ci_build", *arguments, variables=HOSTILE)
    assert result.returncode == 0, result.stdout
    assert "Test Success: Compiler Plugin DEBUG" in result.stdout
