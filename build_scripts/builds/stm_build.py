# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The inner loop: only the STM is built, and a finished firmware boots with it.

The loader of a DEBUG firmware takes an STM image through fw_cfg in place of the
built-in one. So if a finished firmware differs from this checkout only in the
STM's own sources, no firmware volume is made. The module is built in a workspace
of its own in the cache, so that a fresh clone finds the objects of the last build.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from build_scripts import cache, paths
from build_scripts.builds import firmware_build
from build_scripts.builds.compiler import compiler_version
from build_scripts.builds.firmware_build import Firmware
from build_scripts.builds.qemu_build import write_if_changed
from build_scripts.progress import Step, run_logged, say, step
from build_scripts.sources import sources

TARGET = "DEBUG"
MODULE = "StmPkg/Stm/Stm.inf"
MODULE_FOLDER = Path(MODULE).parent
SOURCE_SUFFIXES = {".c", ".h", ".nasm", ".inc"}
# What edk2 sees of the checkout.
PACKAGES = ("StmPkg", "Platform/OvmfStmPkg")
FILES = ("Stm.mseg", "Stm.json", "Stm.debug")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def workspace() -> Path:
    """The folder in the cache in which the module is built; one for each edk2."""
    return paths.cache_dir() / f"stm-build-{cache.identity_of(sources.locate('edk2').identity)}"


def build_log() -> Path:
    """What the last build of the module wrote."""
    return workspace() / "build.log"


def synchronise(checkout: Path, work: Path) -> list[str]:
    """Make the workspace's packages those of the checkout; unchanged files keep their times.

    Returns:
        The names of files that were written or removed.
    """
    wanted = {str(path.relative_to(checkout)): path for path in firmware_build.inputs(checkout, PACKAGES)}
    present = {str(path.relative_to(work)) for path in paths.files_below(*(work / package for package in PACKAGES))}
    changed = sorted(present - set(wanted))
    for name in changed:
        (work / name).unlink()
    return changed + [name for name, path in sorted(wanted.items()) if write_if_changed(work / name, path.read_bytes())]


def _recipe_key(tree: sources.Tree, work: Path) -> str:
    """The key of what decides how the module is made: everything but the text of its sources."""
    own = [path for path in paths.files_below(work / MODULE_FOLDER) if path.suffix in SOURCE_SUFFIXES]
    others = set(paths.files_below(*(work / package for package in PACKAGES))) - set(own)
    names = [str(path.relative_to(work)) for path in own]
    return paths.content_key(sorted(others), [tree.identity, compiler_version(), *names], base=work)


def _compile(tree: sources.Tree, work: Path, log: Path, shown: Step) -> None:
    """Make Stm.efi: by the makefile of the last build if its recipe still holds, else by stuart.

    edk2's build reads the descriptions of the whole platform before it starts
    make, which takes several times as long as compiling one file.
    """
    command, environment = firmware_build.stuart(TARGET, sources.edk2_dir())
    output = work / firmware_build.OUTPUT / f"{TARGET}_{firmware_build.TOOL_CHAIN}"
    made = output / "stmlab-recipe"
    recipe = _recipe_key(tree, work)
    folder = output / firmware_build.STM_OUTPUT.parent
    if (folder / "GNUmakefile").is_file() and made.is_file() and made.read_text() == recipe:
        tools = sources.edk2_dir() / "BaseTools"
        environment |= {"EDK_TOOLS_PATH": str(tools), "WORKSPACE": str(work), "PYTHON_COMMAND": sys.executable}
        environment["PATH"] = os.pathsep.join([str(tools / "BinWrappers" / "PosixLike"), environment["PATH"]])
        make = ["make", "-C", str(folder), "-f", "GNUmakefile", "tbuild"]
        run_logged(make, log, shown, "the STM's build", environment=environment)
        return
    # A build that did not end leaves objects behind, and make does not know which headers they were made of.
    if not made.is_file():
        shutil.rmtree(folder, ignore_errors=True)
    made.unlink(missing_ok=True)
    # The platform's build script imports the lab's package, which the workspace does not hold.
    environment["PYTHONPATH"] = str(_PACKAGE_ROOT)
    module = f"BUILDMODULE={MODULE}"
    pick = firmware_build.MODULE_LINE
    run_logged([*command, module], log, shown, "the STM's build", cwd=work, environment=environment, pick=pick)
    made.write_text(recipe)


def _build_module(tree: sources.Tree, work: Path) -> None:
    """Compile, link and convert the STM in the workspace."""
    log = build_log()
    log.unlink(missing_ok=True)
    folder = work / firmware_build.OUTPUT / f"{TARGET}_{firmware_build.TOOL_CHAIN}" / firmware_build.STM_OUTPUT
    convert = [sys.executable, "-m", "build_scripts.stm_image", "convert", "--efi", str(folder / "Stm.efi")]
    convert += ["--out", str(folder / "Stm.mseg"), "--json", str(folder / "Stm.json")]
    with step("building the STM") as shown:
        _compile(tree, work, log, shown)
        run_logged(convert, log, shown, "the converter", cwd=_PACKAGE_ROOT)
    shutil.copyfile(folder.with_name("DEBUG") / "Stm.debug", folder / "Stm.debug")


def build_stm() -> Path:
    """This checkout's STM image, built if no finished one fits.

    Returns:
        The folder with `FILES`.
    Raises:
        LabError: the source could not be obtained or the build failed.
    """
    edk2 = sources.locate("edk2")

    def make(folder: Path) -> None:
        work = workspace()
        synchronise(paths.CHECKOUT, work)
        _build_module(edk2, work)
        output = work / firmware_build.OUTPUT / f"{TARGET}_{firmware_build.TOOL_CHAIN}"
        for name in FILES:
            shutil.copyfile(output / firmware_build.FILES[name], folder / name)

    return cache.obtain("stm", lambda: firmware_build.firmware_key(edk2, TARGET), make, "the STM", "stm-build")


def build_all(target: str = TARGET) -> Firmware:
    """The images of this checkout, and what the next change of the STM needs.

    Raises:
        LabError: the source could not be obtained or a build failed.
    """
    finished = firmware_build.finished_firmware(target)
    if finished is not None:
        return finished
    firmware = firmware_build.build_firmware(target)
    if target == TARGET:
        build_stm()  # so that the next one finds everything else compiled
    return firmware


def firmware_to_boot(need_stm: bool = True) -> Firmware:
    """The firmware for a boot of this checkout, by the shortest way.

    A finished one; or one that differs in the STM only, with the STM of this
    checkout to be passed by fw_cfg; or else a newly built one.

    Args:
        need_stm: whether the STM has to be this checkout's; not if the caller passes an image.
    Raises:
        LabError: the source could not be obtained or a build failed.
    """
    sources.edk2_dir()
    finished = firmware_build.finished_firmware(TARGET)
    if finished is not None:
        return finished
    firmware = firmware_build.surrounding_firmware(TARGET)
    if firmware is None:
        return build_all()
    if not need_stm:
        return firmware
    start = time.monotonic()
    folder = build_stm()
    say(f"STM built in {time.monotonic() - start:.0f} s; firmware unchanged; the image is passed by fw_cfg")
    mseg, description, symbols = (folder / name for name in FILES)
    return replace(firmware, mseg=mseg, description=description, symbols=symbols, override=mseg)
