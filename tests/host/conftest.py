# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Compiles C of StmPkg for the host: as shared libraries, and as programs that print facts.

BASE code compiles as an ordinary shared library once EFIAPI is empty, so that
the very file the firmware uses is what Python drives.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts.sources import sources

FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Werror", "-fshort-wchar", "-fno-builtin", "-fno-strict-aliasing"]
# Variable arguments of the host's calling convention, since EFIAPI is empty.
FLAGS += ["-DNO_MSABI_VA_FUNCS"]


@pytest.fixture(scope="session")
def include_flags(checkout: Path) -> list[str]:
    """Include paths of edk2's MdePkg, OvmfPkg and SecurityPkg, and of StmPkg."""
    mde = sources.edk2_dir() / "MdePkg" / "Include"
    ovmf = sources.edk2_dir() / "OvmfPkg" / "Include"
    security = sources.edk2_dir() / "SecurityPkg" / "Include"
    package = checkout / "StmPkg"
    folders = [mde, mde / "X64", ovmf, security, package / "Include", package / "Stm"]
    return [f"-I{folder}" for folder in folders]


Build = Callable[..., ctypes.CDLL]
Probe = Callable[[str], str]


@pytest.fixture(scope="session")
def build_library(checkout: Path, include_flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A function that compiles files of the checkout into a shared library and loads it.

    With ``lazy`` a function that no file defines is looked for when it is called, and then ends the process.
    """

    def build(name: str, *files: str, lazy: bool = False) -> ctypes.CDLL:
        output = tmp_path_factory.mktemp("host") / f"{name}.so"
        paths = [str(checkout / file) for file in files]
        command = ["gcc", *FLAGS, "-shared", "-fPIC", "-Wl,-z,lazy", "-DEFIAPI=", *include_flags]
        command += ["-o", str(output), *paths]
        subprocess.run(command, check=True)
        if not lazy:
            return ctypes.CDLL(str(output))
        # ctypes itself always asks for all functions at once.
        load = ctypes.CDLL(None).dlopen
        load.restype = ctypes.c_void_p
        return ctypes.CDLL(str(output), handle=load(str(output).encode(), os.RTLD_LAZY))

    return build


@pytest.fixture(scope="session")
def run_probe(include_flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """A function that compiles C text into a program, runs it and returns what it prints."""

    def run(text: str) -> str:
        folder = tmp_path_factory.mktemp("probe")
        source = folder / "probe.c"
        source.write_text(text, encoding="ascii")
        program = folder / "probe"
        command = ["gcc", *FLAGS, "-DEFIAPI=", *include_flags, "-o", str(program), str(source)]
        subprocess.run(command, check=True)
        return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout

    return run
