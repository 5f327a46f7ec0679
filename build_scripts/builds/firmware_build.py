# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The firmware images: built by stuart, finished ones kept by the key of their inputs."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from build_scripts import cache, paths, system
from build_scripts.builds.compiler import compiler_version, known_compilers
from build_scripts.bundles import record
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import run_logged, say, step
from build_scripts.sources import sources

PLATFORM = Path("Platform/OvmfStmPkg/PlatformBuild.py")
OUTPUT = Path("Build/OvmfStm")
TOOL_CHAIN = "GCC"
ARCHITECTURE = "X64"
# The rest of that package explains images and makes none.
CONVERTER = tuple(f"build_scripts/stm_image/{name}.py" for name in ("__main__", "convert", "layout", "pe"))
INPUTS = ("StmPkg", "Platform/OvmfStmPkg", *CONVERTER)
# Of these, what no firmware is made of: a module of Linux.
NO_INPUTS = ("StmPkg/LinuxMle",)
# Of these, what nothing but the STM image is made of.
STM_INPUTS = ("StmPkg/Stm", *CONVERTER)
INPUTS_FILE = "inputs.json"
STM_OUTPUT = Path("X64/StmPkg/Stm/Stm/OUTPUT")
FILES = {
    "OVMF_CODE.fd": Path("FV/OVMF_CODE.fd"),
    "OVMF_VARS.fd": Path("FV/OVMF_VARS.fd"),
    "Stm.mseg": STM_OUTPUT / "Stm.mseg",
    "Stm.json": STM_OUTPUT / "Stm.json",
    "Stm.debug": STM_OUTPUT / "Stm.debug",
}
# Symbols of the modules that a debugger is asked for, ``NAME.debug`` each: the SMM drivers and the executive monitor.
# All modules would make a set of images six times as large.
MODULES = "modules.zip"
SMM_MODULE = re.compile(r"^MODULE_TYPE = (?:SMM_CORE|DXE_SMM_DRIVER)$", re.MULTILINE)
EXECUTIVE = "ExecutiveMonitorResident.debug"
# edk2's build names each module when it begins with it.
MODULE_LINE = re.compile(r"(Building \.\.\. \S+\.inf|Generating \S+ FV)")
TARGETS = ("DEBUG", "RELEASE", "NOOPT")


@dataclass(frozen=True)
class Firmware:
    """Finished images. Copy `variables` before a boot: a boot writes it.

    Attributes:
        code: flash image of the firmware.
        variables: flash image of an empty variable store.
        mseg: the STM image (``Stm.mseg``) that runs.
        description: the converter's description of `mseg`, JSON.
        symbols: the STM with its symbols (ELF), for a debugger; their addresses count from the start of MSEG.
        override: an STM image for fw_cfg, if `mseg` is not the one that `code` carries.
        modules: the archive `MODULES`; finished images have one, a build tree has not.
    """

    code: Path
    variables: Path
    mseg: Path
    description: Path
    symbols: Path
    override: Path | None = None
    modules: Path | None = None

    @classmethod
    def in_folder(cls, folder: Path) -> Firmware:
        """The images of a finished folder."""
        return replace(cls(*(folder / name for name in FILES)), modules=folder / MODULES)


def inputs(base: Path, names: tuple[str, ...] = INPUTS) -> list[Path]:
    """The files below `base` that firmware is made of, of these files and folders."""
    others = set(paths.files_below(*(base / name for name in NO_INPUTS)))
    return [path for path in paths.files_below(*(base / name for name in names)) if path not in others]


def firmware_key(tree: sources.Tree, target: str, compiler: str | None = None) -> str:
    """The key of finished images: our sources, the pin, the compiler (the host's by default), the target."""
    made_by = compiler if compiler is not None else compiler_version()
    files = inputs(paths.CHECKOUT)
    return paths.content_key(files, [tree.identity, made_by, target, TOOL_CHAIN, *FILES, MODULES])


def surroundings_key(tree: sources.Tree, target: str, compiler: str | None = None) -> str:
    """The key of everything in finished images but the STM."""
    made_by = compiler if compiler is not None else compiler_version()
    own = set(paths.files_below(*(paths.CHECKOUT / name for name in STM_INPUTS)))
    files = [path for path in inputs(paths.CHECKOUT) if path not in own]
    return paths.content_key(files, [tree.identity, made_by, target, TOOL_CHAIN, *FILES, MODULES])


def finished_firmware(target: str = "DEBUG") -> Firmware | None:
    """The finished images of this checkout, if there are any."""
    tree = sources.identify("edk2")
    for compiler in known_compilers():
        folder = cache.existing("firmware", firmware_key(tree, target, compiler))
        if folder is not None:
            return Firmware.in_folder(folder)
    return None


def surrounding_firmware(target: str) -> Firmware | None:
    """The last used finished firmware that differs from this checkout in the STM at most, if there is one."""
    tree = sources.identify("edk2")
    wanted = [surroundings_key(tree, target, compiler) for compiler in known_compilers()]
    folders = [path for base in paths.caches() for path in (base / "finished/firmware").glob("[!.]*")]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            inputs = json.loads((folder / INPUTS_FILE).read_text())
        except (OSError, ValueError):
            continue  # one that is being removed, or damaged
        if inputs.get("surroundings") in wanted and not cache.damage(folder):
            cache.touch(folder)
            return Firmware.in_folder(folder)
    return None


def stuart(target: str, edk2: Path) -> tuple[list[str], dict[str, str]]:
    """The command line of stuart_build and its environment; it is to run in the workspace."""
    scripts = Path(sys.executable).parent
    command = [str(scripts / "stuart_build"), "-c", str(PLATFORM)]
    command += [f"TARGET={target}", f"TOOL_CHAIN_TAG={TOOL_CHAIN}"]
    # stuart runs "build" and our converter by name.
    path = os.pathsep.join([str(scripts), os.environ.get("PATH", "")])
    environment = {"EDK2_DIR": str(edk2), "PYTHONHASHSEED": "0", "PATH": path}
    return command, environment


def _run_stuart(target: str, edk2: Path, title: str, log: Path, *words: str) -> Path:
    """Run stuart_build in the checkout.

    Args:
        title: shown while it runs.
        log: what it prints goes there, in place of an earlier one.
        words: further ones of its command line.
    Returns:
        The folder of its results.
    Raises:
        LabError: the checkout cannot be written, or the build failed.
    """
    log.unlink(missing_ok=True)
    _need_writable_checkout()
    command, environment = stuart(target, edk2)
    with step(title) as shown:
        run_logged(
            [*command, *words],
            log,
            shown,
            "stuart_build",
            cwd=paths.CHECKOUT,
            environment=environment,
            pick=MODULE_LINE,
        )
    return paths.CHECKOUT / OUTPUT / f"{target}_{TOOL_CHAIN}"


def compile_info() -> Path:
    """The compilation database of the DEBUG firmware, in the checkout's build tree; nothing is compiled for it.

    Raises:
        LabError: the source could not be obtained, or edk2's build refused something.
    """
    edk2 = sources.edk2_dir()
    name = f"firmware-{cache.identity_of(str(paths.CHECKOUT))}"
    with paths.locked(name, say):
        output = _run_stuart(
            "DEBUG",
            edk2,
            "asking the firmware's build how it compiles",
            paths.cache_dir() / f"{name}.log",
            "COMPILE_INFO=TRUE",
        )
    return output / "CompileInfo" / "compile_commands.json"


def build_firmware(target: str = "DEBUG") -> Firmware:
    """The images of this checkout, built if no finished ones fit.

    Args:
        target: ``DEBUG``, ``RELEASE`` or ``NOOPT``.
    Raises:
        LabError: the source could not be obtained, or the build failed.
    """
    if target not in TARGETS:
        raise LabError(f"no such target: {target}", ExitCode.USAGE)
    checkout = cache.identity_of(str(paths.CHECKOUT))

    def key() -> str:
        return firmware_key(sources.identify("edk2"), target)

    def brought() -> list[str]:
        return [firmware_key(sources.identify("edk2"), target, compiler) for compiler in record.compilers()]

    def make(folder: Path) -> None:
        _build(target, folder, paths.cache_dir() / f"firmware-{checkout}.log")

    sources.edk2_dir()  # its refusal comes before any wait
    lock = f"firmware-{checkout}"
    return Firmware.in_folder(cache.obtain("firmware", key, make, "the firmware", lock, brought=brought))


def _build(target: str, finished: Path, log: Path) -> None:
    """Run stuart in the checkout, and copy the images into the folder `finished`."""
    system.ensure_packages()  # where a bundle has brought a firmware nobody has asked so far
    tree = sources.sound("edk2")
    output = _run_stuart(target, tree.path, f"building the firmware ({target})", log)
    for name, source in FILES.items():
        if not (output / source).is_file():
            raise LabError(f"the build produced no {source.name}", log=log)
        shutil.copyfile(output / source, finished / name)
    _pack_symbols(output / ARCHITECTURE, finished / MODULES)
    inputs = {"edk2": tree.version, "surroundings": surroundings_key(tree, target)}
    (finished / INPUTS_FILE).write_text(json.dumps(inputs))


def _pack_symbols(modules: Path, archive: Path) -> None:
    """Pack `MODULES` from the folder where edk2's build has each module with its makefile."""
    made_by = sorted(
        path for path in modules.rglob("GNUmakefile") if SMM_MODULE.search(path.read_text(encoding="utf-8"))
    )
    files = {file.name: file for path in made_by for file in path.parent.glob("DEBUG/*.debug")}
    if (modules / EXECUTIVE).is_file():
        files[EXECUTIVE] = modules / EXECUTIVE
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, file in files.items():
            packed.write(file, name)


def _need_writable_checkout() -> None:
    """Check that stuart can write its ``Build`` and ``Conf`` beside the sources.

    Raises:
        LabError: it cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=paths.CHECKOUT):
            pass
    except OSError as error:
        raise LabError(
            f"the firmware has to be built, and {paths.CHECKOUT} cannot be written ({error.strerror})",
            ExitCode.USAGE,
            remedy="clone or copy the checkout to a place that you may write",
        ) from error
