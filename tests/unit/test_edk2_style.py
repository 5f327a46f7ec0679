# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The C files of StmPkg and the platform are in edk2's style, and every function has its comment block."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import edk2_headers, edk2_style
from tests.unit import c_calls

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
    # A module of Linux, in Linux's style.
    command += [":!StmPkg/LinuxMle"]
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


DOCUMENTED = """\
/**
  Do something.

  @param[in]     First   A number.
  @param[in,out] Second  Gets more.
  @param[out]    Third   Gets all, in so many
                         words.

  @retval EFI_SUCCESS  Done.
**/
STATIC
EFI_STATUS
EFIAPI
DoSomething (
  IN     CONST VOID  *First,
  IN OUT UINT8       *Second OPTIONAL,
  OUT    UINTN       Third[2]
  )
{
  return EFI_SUCCESS;
}

/**
  Do nothing.
**/
VOID
DoNothing (
  VOID
  )
{
}
"""
# What each change makes wrong, and what is said about it.
HEADER_FAULTS = {
    "no @param": ("  @param[in,out] Second  Gets more.\n", "", "no @param for Second"),
    "wrong direction": ("@param[in]     First", "@param[out]    First", "@param of First is not [in]"),
    "no direction": ("@param[out]    Third", "@param         Third", "@param of Third is not [out]"),
    "edk2's other form": ("[in,out] Second", "[in, out] Second", "no @param for Second"),
    "renamed": ("Second  Gets", "Zweiter  Gets", "@param for Zweiter, which it does not have"),
    "one that went": ("  IN     CONST VOID  *First,\n", "", "@param for First, which it does not have"),
    "no @return": ("  @retval EFI_SUCCESS  Done.\n", "", "neither @return nor @retval"),
    "@return of nothing": ("Do nothing.\n", "Do nothing.\n\n  @return 0.\n", "@return, and it returns nothing"),
    "no block": ("/**\n  Do nothing.\n**/\n", "", "no comment block"),
    "other comment": ("/**\n  Do nothing.\n**/\n", "// Do nothing.\n", "no comment block"),
    "comment elsewhere": ("**/\nVOID\n", "**/\nUINTN  mOther;\n\nVOID\n", "no comment block"),
    "no sentence": ("  Do something.\n\n", "", "no sentence about what it does"),
    "order": (
        "  @param[in]     First   A number.\n  @param[in,out] Second  Gets more.\n",
        "  @param[in,out] Second  Gets more.\n  @param[in]     First   A number.\n",
        "@param not in the order of the parameters",
    ),
}


def test_every_function_has_its_comment_block(checkout: Path) -> None:
    found = []
    for path in _c_files(checkout):
        name, text = str(path.relative_to(checkout)), path.read_text(encoding="utf-8")
        # None is overlooked: the text's other reader, which knows nothing of edk2's layout, finds the same ones.
        known = c_calls.scan(text.replace("STATIC\n", "static\n"), header=path.suffix == ".h")
        bodies = {function.name for function in edk2_headers.functions(text) if function.body}
        assert bodies == known.defined | known.private, name
        found += edk2_headers.findings(name, text)
    assert found == [], "\n".join(found)


def test_good_comment_block_passes() -> None:
    assert edk2_headers.findings("Sample.c", DOCUMENTED) == []
    first, second = edk2_headers.functions(DOCUMENTED)
    assert (first.name, first.returns) == ("DoSomething", "EFI_STATUS")
    assert first.parameters == (("in", "First"), ("in,out", "Second"), ("out", "Third"))
    assert (second.name, second.returns, second.parameters) == ("DoNothing", "VOID", ())


@pytest.mark.parametrize("fault", list(HEADER_FAULTS))
def test_fault_of_a_comment_block_is_found(fault: str) -> None:
    before, after, complaint = HEADER_FAULTS[fault]
    assert DOCUMENTED.count(before) == 1
    found = edk2_headers.findings("Sample.c", DOCUMENTED.replace(before, after))
    assert any(line.endswith(complaint) for line in found), found


def test_declarations_of_a_header_count() -> None:
    declared = DOCUMENTED.replace("  )\n{\n  return EFI_SUCCESS;\n}\n", "  );\n").replace("[in,out]", "[in]")
    assert edk2_headers.findings("Sample.h", declared) == ["Sample.h:11: DoSomething: @param of Second is not [in,out]"]
