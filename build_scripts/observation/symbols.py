# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From an address to a name: symbol and source line of the STM, module and offset of the firmware."""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.dwarf.lineprogram import LineProgram
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

# Sources of edk2 lie in the cache; a reader knows them by their package.
_PACKAGE = re.compile(r"(?:^|/)([A-Za-z0-9]+Pkg/.*)$")
_LOADED = re.compile(r"^Loading (?:SMM )?driver at 0x([0-9A-Fa-f]+) EntryPoint=0x[0-9A-Fa-f]+ (\S+)", re.MULTILINE)
_LOADED_SMM = re.compile(r"^Loading SMM driver at 0x([0-9A-Fa-f]+) EntryPoint=0x[0-9A-Fa-f]+ (\S+)", re.MULTILINE)
_BUILD_TREE = re.compile(rb"\0(/[^\0]+?)/Build/OvmfStm/")
# No module of this firmware is larger; an address farther beyond its start belongs to none.
_MODULE_REACH = 1 << 20


@dataclass(frozen=True)
class Symbols:
    """Functions and source lines of an ELF file, by its own addresses.

    Attributes:
        functions: (address, name), sorted.
        lines: (address, source, line), sorted.
    """

    functions: tuple[tuple[int, str], ...]
    lines: tuple[tuple[int, str, int], ...]
    end: int

    @classmethod
    def read(cls, path: Path) -> Symbols:
        """Read them.

        Raises:
            OSError: the file cannot be read.
            ELFError: it is no ELF file.
        """
        with path.open("rb") as handle:
            elf = ELFFile(handle)
            text = elf.get_section_by_name(".text")
            if text is None:
                raise ELFError(f"{path} has no .text")
            end = text["sh_addr"] + text["sh_size"]
            functions = sorted(
                (symbol["st_value"], symbol.name)
                for section in elf.iter_sections()
                if isinstance(section, SymbolTableSection)
                for symbol in section.iter_symbols()
                if symbol.name and text["sh_addr"] <= symbol["st_value"] < end
            )
            # The linker has applied the relocations that it left in the file.
            dwarf = elf.get_dwarf_info(relocate_dwarf_sections=False) if elf.has_dwarf_info() else None
            programs = (dwarf.line_program_for_CU(unit) for unit in dwarf.iter_CUs()) if dwarf is not None else ()
            rows = (row for program in programs if program is not None for row in _rows(program))
            # Of the rows of one address the last of its program counts; an end is before what begins there.
            lines = sorted(rows, key=lambda row: (row[0], row[2] != 0))
        return cls(tuple(functions), tuple(lines), end)

    def locate(self, address: int) -> str | None:
        """``function+offset, source:line``, as far as it is known; None outside the text."""
        index = bisect_right(self.functions, address, key=lambda row: row[0]) - 1
        if index < 0 or address >= self.end:
            return None
        start, name = self.functions[index]
        found = f"{name}+{address - start:#x}"
        index = bisect_right(self.lines, address, key=lambda row: row[0]) - 1
        if index >= 0 and self.lines[index][2]:
            _start, source, line = self.lines[index]
            found += f", {source}:{line}"
        return found


def _rows(program: LineProgram) -> Iterator[tuple[int, str, int]]:
    """The rows of a line program; the end of a sequence has line 0, so that it claims nothing beyond it."""
    names: dict[int, str] = {}
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.file not in names:
            names[state.file] = _source_name(program, state.file)
        yield state.address, names[state.file], 0 if state.end_sequence else state.line


def _source_name(program: LineProgram, number: int) -> str:
    # Version 5 counts files and directories from 0, earlier versions from 1.
    first = 0 if program["version"] >= 5 else 1
    entry = program["file_entry"][number - first]
    name = entry.name.decode(errors="replace")
    folder = entry.dir_index - first
    if folder >= 0 and not name.startswith("/"):
        name = f"{program['include_directory'][folder].decode(errors='replace')}/{name}"
    # With link-time optimisation names are relative to the module's output folder, in a package's folder itself.
    name = posixpath.normpath(name)
    package = _PACKAGE.search(name)
    return package[1] if package is not None else name


def compiled_in(path: Path) -> str | None:
    """The checkout in whose build tree an ELF file was compiled, as its debug information says."""
    found = _BUILD_TREE.search(path.read_bytes())
    return found[1].decode(errors="replace") if found is not None else None


def loaded_modules(firmware_log: Path, smm: bool = False) -> dict[int, str]:
    """Load address and file name of each module that the firmware logged, in that order; empty without a log.

    Args:
        smm: of the SMM drivers alone.
    """
    text = firmware_log.read_text(encoding="utf-8", errors="replace") if firmware_log.is_file() else ""
    # A module that was loaded later to the same place has replaced the earlier one.
    return {int(found[1], 16): found[2] for found in (_LOADED_SMM if smm else _LOADED).finditer(text)}


def find_module(firmware_log: Path, address: int) -> str | None:
    """``Module.efi+offset`` by the load addresses that the firmware logged, or None."""
    modules = loaded_modules(firmware_log)
    base = max((start for start in modules if start <= address), default=None)
    if base is None or address - base >= _MODULE_REACH:
        return None
    return f"{modules[base]}+{address - base:#x}"
