# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``debug``: the lab's machine under GDB, with symbols of STM, SMM drivers and executive monitor."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.builds import firmware_build
from build_scripts.builds.firmware_build import Firmware
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments.shell import FIRMWARE_LOG, TRACE, boot_configuration, find_firmware, find_qemu
from build_scripts.machine import fw_cfg, gdb
from build_scripts.machine.gdb import SymbolFile
from build_scripts.machine.machine import Machine
from build_scripts.machine.processors import Configuration, Guest
from build_scripts.observation import outcome
from build_scripts.observation.events import Kind
from build_scripts.observation.symbols import Symbols, compiled_in, loaded_modules
from build_scripts.progress import say, step

# What a session is about, and the function where it begins.
STM = "stm"
SMI = "smi"
HANDLER = "handler"
PLACES = (STM, SMI, HANDLER)
_ENTRIES = {STM: "StmDispatchSmmExit", SMI: "SmiRendezvous"}
# Both boots execute these, so that everything is loaded to the same place in both.
SCRIPT = ("ExecMon.efi start", "SmiTool.efi b2 3", "ExecMon.efi stop", "reset -s")
EXECUTIVE_ALIGNMENT = 2 << 20


@dataclass(frozen=True)
class Asked:
    """What the user asked for.

    Attributes:
        place: one of `PLACES`, or None for a stop before the first instruction.
        name: of ``handler``: a function of an SMM driver.
        commands: of GDB; with any the session ends behind them.
        processors: of the machine.
        files: further fw_cfg files, ``NAME=VALUE`` or ``NAME=@FILE``.
    """

    place: str | None
    name: str | None
    commands: tuple[str, ...]
    processors: int = 1
    files: tuple[str, ...] = ()


def _check(asked: Asked) -> None:
    if (asked.place == HANDLER) != (asked.name is not None):
        raise LabError(
            "debug handler takes the name of a function of an SMM driver, and nothing else does",
            ExitCode.USAGE,
            remedy="for example: stmlab debug handler SmmVariableHandler",
        )


@dataclass(frozen=True)
class Loaded:
    """Where a boot has everything; the next boot of the same images loads everything there again.

    Attributes:
        mseg: base of MSEG.
        executive: where the resident part of the executive monitor begins, or None if it did not activate the STM.
        log: the firmware's, with the load addresses of its modules.
    """

    mseg: int
    executive: int | None
    log: Path


def _where_loaded(firmware: Firmware, asked: Asked) -> Loaded:
    """Boot the same machine without GDB and see.

    Raises:
        LabError: the boot failed.
    """
    with step("booting once, to see where everything is loaded"):
        extra = fw_cfg.arguments(asked.files)
        result = boot_configuration(
            Configuration.DUAL_MONITOR, firmware, SCRIPT, extra=extra, processors=asked.processors
        )
    status = result.stream.first("FW", "status")
    error = outcome.check_ending(result.stream, result.ending)
    if error is None and status is None:
        error = LabError("the firmware reported no status", ExitCode.GUEST_HUNG)
    if error is not None or status is None:
        assert error is not None
        error.log = result.run_dir
        raise error
    # Its image begins a block of 2-MB pages (StmPkg/ExecutiveMonitor/Loader/Load.c), and the VMCALL is in it.
    activation = next((event for event in result.stream.transitions if event.kind is Kind.ACTIVATE), None)
    executive = None if activation is None else activation.rip & -EXECUTIVE_ALIGNMENT
    return Loaded(status.number("mseg_base"), executive, result.run_dir / FIRMWARE_LOG)


def _modules(loaded: Loaded, folder: Path) -> list[SymbolFile]:
    """Symbols of the SMM drivers, of those in the folder."""
    drivers = loaded_modules(loaded.log, smm=True).items()
    files = [SymbolFile(folder / Path(name).with_suffix(".debug"), base) for base, name in drivers]
    return [file for file in files if file.path.is_file()]


def _check_function(name: str, files: list[SymbolFile]) -> None:
    """Refuse a name that no SMM driver has.

    Raises:
        LabError: there is none; it names the drivers.
    """
    known = {function for file in files for _, function in Symbols.read(file.path).functions}
    if name not in known:
        drivers = ", ".join(sorted(file.path.stem for file in files))
        raise LabError(f"none of these has a function {name}: {drivers}", ExitCode.USAGE)


def debug(asked: Asked) -> int:
    """Boot under GDB and stop where the user asked for; returns an exit code.

    Raises:
        LabError: an argument is bad, a build or the boot before it failed, or there is no GDB.
    """
    _check(asked)
    extra = fw_cfg.arguments(asked.files)
    firmware = find_firmware(None)
    qemu = find_qemu(Configuration.DUAL_MONITOR)
    loaded = _where_loaded(firmware, asked)
    symbols = [SymbolFile(firmware.symbols, loaded.mseg)]
    run_dir = paths.new_run_dir("debug")
    if asked.place != STM and firmware.modules is not None:
        folder = run_dir / "symbols"
        with zipfile.ZipFile(firmware.modules) as packed:
            packed.extractall(folder)
        drivers = _modules(loaded, folder)
        if asked.name is not None:
            _check_function(asked.name, drivers)
        symbols += drivers
        if loaded.executive is not None:
            symbols.append(SymbolFile(folder / firmware_build.EXECUTIVE, loaded.executive))
    socket = run_dir / "gdb.sock"
    guest = Guest(
        qemu=qemu,
        cpu=Configuration.DUAL_MONITOR.cpu,
        code=firmware.code,
        variables=firmware.variables,
        script=SCRIPT,
        processors=asked.processors,
        icount=asked.processors == 1,
        trace=TRACE,
        extra=(*extra, "-gdb", f"unix:{socket},server=on,wait=off"),
        stm_image=firmware.override,
    )
    place = asked.name if asked.name is not None else _ENTRIES.get(asked.place or "")
    lines = gdb.commands(socket, symbols, place, {root for file in symbols if (root := compiled_in(file.path))})
    with Machine(guest, run_dir):
        status = gdb.session(run_dir, lines, asked.commands)
    say(f"logs: {run_dir}")
    return int(ExitCode.OK if status == 0 else ExitCode.GUEST_HUNG)
