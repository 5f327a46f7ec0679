# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The C files of StmPkg and the platform are in edk2's style."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import edk2_style

# Options of edk2's fork of uncrustify; docs/guide/building.rst tells what becomes of each.
FORKS_OPTIONS = {"align_edk2_style", "cmt_align_doxygen_javadoc_tags", "indent_func_call_edk2_style"}
# How many of edk2's settings must at least be in force.
SETTINGS = 300

GOOD = """\
/** @file
  A sample.
**/

#include <Base.h>

#define FIRST   1
#define SECOND  22

/**
  Do something.

  @param[in] Value  A number.

  @return Another number.
**/
STATIC
UINTN
DoSomething (
  IN UINTN  Value
  )
{
  UINTN  Result;

  Result = Other->Function (
                    Value,
                    SECOND
                    );
  if (Result == 0) {
    DEBUG ((DEBUG_ERROR, "none\\n"));
    return FIRST;
  }

  return Result;
}
"""

# What each change makes wrong.
FAULTS = {
    "brace": ("  if (Result == 0) {\n", "  if (Result == 0)\n  {\n"),
    "space before a parenthesis": ("DEBUG ((", "DEBUG(("),
    "keyword without a space": ("if (Result", "if(Result"),
    "tab": ("    return FIRST", "\treturn FIRST"),
    "indentation": ("    return FIRST", "   return FIRST"),
    "several statements": ("  UINTN  Result;\n", "  UINTN Result;\n"),
    "unaligned macros": ("#define FIRST   1", "#define FIRST 1"),
    "arguments of a call": ("                    SECOND", "    SECOND"),
    "end of a call": ("                    );", "  );"),
    "no empty line behind a block": ("  }\n\n  return Result", "  }\n  return Result"),
    "CRLF": ("**/\n\n#include", "**/\r\n\r\n#include"),
}


def _c_files(checkout: Path) -> list[Path]:
    command = ["git", "ls-files", "-z", "StmPkg/*.[ch]", "Platform/OvmfStmPkg/*.[ch]"]
    listed = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name]
    return [checkout / name for name in names if (checkout / name).is_file()]


def test_edk2s_configuration_is_in_force() -> None:
    text, dropped = edk2_style.configuration(edk2_style.edk2_configuration())
    assert set(dropped) == FORKS_OPTIONS
    assert sum("=" in line and not line.startswith("#") for line in text.splitlines()) > SETTINGS


def test_c_files_are_in_edk2s_style(checkout: Path) -> None:
    files = _c_files(checkout)
    assert files
    found = [
        line
        for path in files
        for line in edk2_style.findings(str(path.relative_to(checkout)), path.read_text(encoding="utf-8"))
    ]
    assert found == [], "\n".join([*found, "remedy: python3 -m tests.support.edk2_style FILE ..."])


def test_good_file_passes() -> None:
    assert edk2_style.findings("Sample.c", GOOD) == []
    assert edk2_style.mended(GOOD) == GOOD


@pytest.mark.parametrize("fault", list(FAULTS))
def test_fault_is_found(fault: str) -> None:
    before, after = FAULTS[fault]
    assert before in GOOD
    assert edk2_style.findings("Sample.c", GOOD.replace(before, after, 1)) != []


@pytest.mark.parametrize("fault", ["brace", "tab", "unaligned macros", "space before a parenthesis"])
def test_fault_is_mended(fault: str) -> None:
    before, after = FAULTS[fault]
    assert edk2_style.mended(GOOD.replace(before, after, 1)) == GOOD
