# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is built again: nothing without a change, one file and the link after one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.builds import qemu_build, stm_build
from build_scripts.sources import sources
from tests.support.newcomer import environment

from .conftest import BUILD_TIMEOUT_SECONDS, Run

TOOLS = ("gcc", "g++", "cc", "nasm", "make", "ninja", "ld", "iasl", "patch", "tar", "apt-get", "git")
# What the keys of finished results ask.
QUESTIONS = ("-dumpfullversion -dumpversion",)


def _command(arguments: list[str], checkout: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["python3", "-m", "build_scripts", *arguments],
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )


def _shims(folder: Path, log: Path) -> None:
    """Put a program before each tool that notes its arguments and goes on to the tool."""
    folder.mkdir()
    for tool in TOOLS:
        real = shutil.which(tool)
        assert real is not None, tool
        shim = folder / tool
        shim.write_text(f'#!/bin/sh\necho "{tool} $*" >> "{log}"\nexec "{real}" "$@"\n')
        shim.chmod(0o755)


def _change(path: Path) -> None:
    """Add one line that no other run of this test has added."""
    with path.open("a") as source:
        source.write(f"/* {uuid.uuid4()} */\n")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone to change. What it adds to the cache is pruned like everything there."""
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(paths.CHECKOUT), str(target)], check=True)
    return target


def test_second_run_compiles_nothing(stock_run: Run, stm_run: Run, tmp_path: Path) -> None:
    assert stock_run.document and stm_run.document, "both parts are built now"
    log = tmp_path / "tools.log"
    log.touch()
    _shims(tmp_path / "bin", log)
    variables = environment()
    variables["PATH"] = os.pathsep.join([str(tmp_path / "bin"), variables["PATH"]])
    result = _command(["build"], paths.CHECKOUT, variables)
    assert result.returncode == 0, result.stderr
    asked = log.read_text().splitlines()
    assert any(line.endswith(QUESTIONS) for line in asked), "the build did not see the programs put before the tools"
    assert [line for line in asked if not line.endswith(QUESTIONS)] == []
    assert "building" not in result.stderr


@pytest.mark.slow
def test_one_line_of_the_machine_compiles_one_file(stm_run: Run, clone: Path) -> None:
    assert stm_run.document, "the machine is built now"
    # A first build brings the shared build tree to this content.
    _change(clone / "Platform/QemuVmx/vmx/vmcs.c")
    assert _command(["build"], clone, environment()).returncode == 0
    _change(clone / "Platform/QemuVmx/vmx/vmcs.c")
    result = _command(["build"], clone, environment())
    assert result.returncode == 0, result.stderr
    log = qemu_build.build_tree(sources.locate("qemu")) / "build.log"
    compiled = [line for line in log.read_text().splitlines() if "Compiling C object" in line]
    assert len(compiled) == 1 and "vmcs.c" in compiled[0]


@pytest.mark.slow
def test_one_line_of_the_stm_builds_only_the_stm(stm_run: Run, clone: Path, tmp_path: Path) -> None:
    """The inner loop, in a fresh clone: no firmware is built, and the next SMI goes through the new STM."""
    assert stm_run.document, "machine and firmware are built now"
    source = clone / "StmPkg/Stm/Log/Crash.c"
    facts = tmp_path / "facts.json"
    hashes = {stm_run.document["firmware"]["image_sha256"]}
    text = '"bad-state"'
    for _ in range(2):
        # Another name for a crash that does not happen: it is in the image, and another one each time.
        content = source.read_text()
        assert content.count(text) == 1
        changed = f'"bad-{uuid.uuid4().hex[:12]}"'
        source.write_text(content.replace(text, changed))
        text = changed
        result = _command(["run", "--json", str(facts)], clone, environment())
        assert result.returncode == 0, result.stdout + result.stderr
        assert "firmware unchanged; the image is passed by fw_cfg" in result.stderr
        assert "entry to handler" in result.stdout, "an SMI went through the STM"
        firmware = json.loads(facts.read_text())["firmware"]
        assert firmware["state"] == "enabled" and firmware["image_source"] == "fw-cfg"
        hashes.add(firmware["image_sha256"])
        log = stm_build.build_log().read_text(errors="replace")
        # edk2's build names each module; make, which does without it after the first time, names none.
        modules = re.findall(r"^Building \.\.\. (\S+\.inf)", log, re.MULTILINE)
        assert {Path(name).name for name in modules if "/Library/" not in name} <= {"Stm.inf"}
        compiled = [line for line in log.splitlines() if " -c -o " in line]
        assert compiled
        objects = {line.split(" -c -o ")[1].split()[0] for line in compiled}
        assert all("/X64/StmPkg/Stm/Stm/" in name or "/Library/" in name for name in objects), objects
    assert len(hashes) == 3, "each run had another image"
    assert len(compiled) == 1 and source.name in compiled[0], "the second time one file is compiled"
    assert not (clone / "Build").exists(), "the clone built no firmware"
