"""Images that must exist before edk2 assembles the firmware volume.

Copyright (c) 2026, STM Lab contributors
SPDX-License-Identifier: BSD-2-Clause-Patent
"""

import hashlib
import json
import logging
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from build_scripts import nested

STM_MODULE = Path("StmPkg/Stm/Stm.inf")
STACK_COOKIES = 100  # entries of a table in edk2's build.py


@dataclass(frozen=True)
class ModuleBuild:
    """What one ``build -m`` shares with the main build, so that neither redoes the other."""

    platform: str
    target: str
    tool_chain: str
    threads: str
    flags: dict[str, str] = field(default_factory=dict)


def write_stack_cookies(output: Path) -> None:
    """Give edk2's build the same stack-cookie tables every time.

    It would draw them at random for each clean build and compile them into
    every module, so no two builds of the same source would be equal. The
    machine is a lab: comparable images are worth more than secret cookies.

    Args:
        output: the build's output directory, such as ``Build/OvmfStm/DEBUG_GCC``.
    """
    output.mkdir(parents=True, exist_ok=True)
    for bits in (32, 64):
        table = [
            int.from_bytes(hashlib.sha256(f"stm-lab cookie {bits} {i}".encode()).digest()[: bits // 8])
            for i in range(STACK_COOKIES)
        ]
        path = output / f"StackCookieValues{bits}.json"
        text = json.dumps(table)
        if not path.is_file() or path.read_text(encoding="ascii") != text:
            path.write_text(text, encoding="ascii")


def run_logged(arguments: list[str]) -> None:
    """Run a command, its output line by line into the build log.

    Raises:
        RuntimeError: it did not end with 0; holds the lines that name the cause.
    """
    logging.debug("running %s", arguments)
    causes = nested.Causes()
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            logging.info(line.rstrip())
            causes.read(line)
    if process.returncode != 0:
        raise RuntimeError("\n".join([f"{arguments[0]} ended with status {process.returncode}", *causes.found]))


def edk2_build(request: ModuleBuild, *words: str) -> list[str]:
    """The command line of edk2's build with the flags of the main build.

    Args:
        words: what else it says.
    """
    arguments = ["build", *words, "-p", request.platform, "-b", request.target, "-t", request.tool_chain]
    arguments += ["-a", "X64", "-n", request.threads]
    for name, value in request.flags.items():
        arguments += ["-D", f"{name}={value}"]
    return arguments


def build_module(module: Path, request: ModuleBuild) -> None:
    """Compile one module with the flags of the main build, which then finds it up to date.

    PYTHONHASHSEED must be the main build's: edk2 picks each module's stack
    cookie by Python's string hash, and another seed recompiles everything.
    """
    assert os.environ.get("PYTHONHASHSEED") == "0"
    run_logged(edk2_build(request, "-m", str(module)))


def tell_compilation(report: Path, request: ModuleBuild) -> None:
    """Write edk2's compilation database, in ``CompileInfo`` beside the report; nothing is compiled.

    The target genmake stops where the makefiles and the generated headers are
    there, without which an editor could not compile a file either.

    Raises:
        RuntimeError: edk2's build refused something.
    """
    run_logged(edk2_build(request, "genmake", "-y", str(report), "-Y", "COMPILE_INFO"))


def digest_flags(image: Path) -> dict[str, str]:
    """The SHA-256 of the STM image as flags for the DSC: four numbers, as they are in memory.

    The loader compares with it what it finds in the firmware volume.
    """
    digest = hashlib.sha256(image.read_bytes()).digest()
    parts = struct.unpack("<4Q", digest)
    return {f"STM_IMAGE_DIGEST{index}": f"{part:#018x}" for index, part in enumerate(parts)}


def build_stm(output: Path, request: ModuleBuild) -> Path:
    """Compile the STM and convert it into the file that goes into the firmware volume.

    The main build compiles it again, since its digest is a flag of all modules, and
    the linker may lay it out in another way. So its symbols are kept beside it.

    Returns:
        The MSEG image.
    Raises:
        RuntimeError: the compiler or the converter failed.
    """
    build_module(STM_MODULE, request)
    folder = output / "X64" / STM_MODULE.with_suffix("") / "OUTPUT"
    image = folder / "Stm.mseg"
    convert = [sys.executable, "-m", "build_scripts.stm_image", "convert"]
    convert += ["--efi", str(folder / "Stm.efi"), "--out", str(image)]
    convert += ["--json", str(folder / "Stm.json")]
    run_logged(convert)
    shutil.copyfile(folder.with_name("DEBUG") / "Stm.debug", folder / "Stm.debug")
    return image
