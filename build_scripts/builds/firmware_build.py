# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware images: built by stuart, finished ones kept by the key of their inputs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.builds.compiler import compiler_version
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import run_logged, say, step
from build_scripts.sources import sources

PLATFORM = Path("Platform/OvmfStmPkg/PlatformBuild.py")
OUTPUT = Path("Build/OvmfStm")
TOOL_CHAIN = "GCC"
INPUTS = ("StmPkg", "Platform/OvmfStmPkg", "build_scripts/stm_image")
STM_OUTPUT = Path("X64/StmPkg/Stm/Stm/OUTPUT")
# The STM's symbols are relative to this offset from the start of MSEG.
STM_LOAD_OFFSET = 0x1000
FILES = {
    "OVMF_CODE.fd": Path("FV/OVMF_CODE.fd"),
    "OVMF_VARS.fd": Path("FV/OVMF_VARS.fd"),
    "Stm.mseg": STM_OUTPUT / "Stm.mseg",
    "Stm.json": STM_OUTPUT / "Stm.json",
    "Stm.debug": STM_OUTPUT.with_name("DEBUG") / "Stm.debug",
}
# edk2's build names each module when it begins with it.
_MODULE = re.compile(r"(Building \.\.\. \S+\.inf|Generating \S+ FV)")
TARGETS = ("DEBUG", "RELEASE", "NOOPT")


@dataclass(frozen=True)
class Firmware:
    """Finished images. Copy `variables` before a boot: a boot writes it.

    Attributes:
        code: flash image of the firmware.
        variables: flash image of an empty variable store.
        mseg: the STM image (``Stm.mseg``) that `code` carries.
        description: the converter's description of `mseg`, JSON.
        symbols: the STM with its symbols (ELF), for a debugger; see `STM_LOAD_OFFSET`.
    """

    code: Path
    variables: Path
    mseg: Path
    description: Path
    symbols: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Firmware:
        """The images of a finished folder."""
        return cls(*(folder / name for name in FILES))


def firmware_key(tree: sources.Tree, target: str) -> str:
    """The key of finished images: our sources, the pin, the compiler, the target."""
    files = paths.files_below(*(paths.CHECKOUT / name for name in INPUTS))
    return paths.content_key(files, [tree.identity, compiler_version(), target, TOOL_CHAIN, *FILES])


def _finished(target: str) -> Path:
    return paths.cache_dir() / "firmware" / firmware_key(sources.locate("edk2"), target)


def _stuart(target: str, edk2: Path) -> tuple[list[str], dict[str, str]]:
    scripts = Path(sys.executable).parent
    command = [str(scripts / "stuart_build"), "-c", str(PLATFORM)]
    command += [f"TARGET={target}", f"TOOL_CHAIN_TAG={TOOL_CHAIN}"]
    # stuart runs "build" and our converter by name.
    path = os.pathsep.join([str(scripts), os.environ.get("PATH", "")])
    environment = {"EDK2_DIR": str(edk2), "PYTHONHASHSEED": "0", "PATH": path}
    return command, environment


def build_firmware(target: str = "DEBUG") -> Firmware:
    """The images of this checkout, built if no finished ones fit.

    Args:
        target: ``DEBUG``, ``RELEASE`` or ``NOOPT``.
    Raises:
        LabError: the source could not be obtained, or the build failed.
    """
    if target not in TARGETS:
        raise LabError(f"no such target: {target}", ExitCode.USAGE)
    edk2 = sources.edk2_dir()
    finished = _finished(target)
    if finished.is_dir():
        os.utime(finished)  # the last used ones are kept
        return Firmware.in_folder(finished)
    checkout = hashlib.sha256(str(paths.CHECKOUT).encode()).hexdigest()[:12]
    with paths.locked(f"firmware-{checkout}", say):
        # Once more, under the lock: another process may have built it, or a source may have changed meanwhile.
        finished = _finished(target)
        if finished.is_dir():
            return Firmware.in_folder(finished)
        output = paths.CHECKOUT / OUTPUT / f"{target}_{TOOL_CHAIN}"
        log = paths.cache_dir() / f"firmware-{checkout}.log"
        log.unlink(missing_ok=True)
        command, environment = _stuart(target, edk2)
        with step(f"building the firmware ({target})") as shown:
            run_logged(command, log, shown, "stuart_build", cwd=paths.CHECKOUT, environment=environment, pick=_MODULE)
        if _finished(target) != finished:
            raise LabError("a source of the firmware changed during its build", remedy="run it again")
        with paths.published(finished) as staging:
            for name, source in FILES.items():
                if not (output / source).is_file():
                    raise LabError(f"the build produced no {source}", log=log)
                shutil.copyfile(output / source, staging / name)
            (staging / "inputs.json").write_text(json.dumps({"edk2": sources.locate("edk2").version}))
        paths.prune(finished.parent, paths.KEPT_RESULTS)
    return Firmware.in_folder(finished)
