# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Platform descriptions of edk2 and of ours, read by edk2's own library: includes, macros and conditions resolved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edk2toollib.uefi.edk2.parsers.dsc_parser import DscParser
from edk2toollib.uefi.edk2.parsers.fdf_parser import FdfParser
from edk2toollib.uefi.edk2.path_utilities import Edk2Path

from build_scripts import paths


def dsc_lines(file: Path, edk2: Path, variables: Mapping[str, str]) -> list[str]:
    """The lines of a DSC file and of all that it includes."""
    parser = DscParser()
    parser.SetEdk2Path(Edk2Path(str(paths.CHECKOUT), [str(paths.CHECKOUT / "Platform"), str(edk2)]))
    parser.SetInputVars(dict(variables))
    parser.ParseFile(str(file))
    return [str(line) for line in parser.Lines]


def fdf_lines(text: str, variables: Mapping[str, str]) -> list[str]:
    """The lines of an FDF file that are active; includes stay, their content is not the file's own.

    FdfParser keeps modules and files of the volumes only; its reader of lines gives all.
    """
    parser = FdfParser()
    parser.SetInputVars(dict(variables))
    parser.CurrentLine = 0
    parser._BracketCount = 0
    parser.Lines = list(reversed(text.splitlines()))
    lines = []
    while (line := parser.GetNextLine()) is not None:
        lines.append(str(line))
    return lines
