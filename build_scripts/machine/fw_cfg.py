# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Words for the firmware: fw_cfg files that a user gives on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.processors import SCRIPT_KEY

PREFIX = "opt/"  # QEMU reserves every other name for itself
_NAME_LIMIT = 55  # bytes of a name in the directory, without its end


def arguments(given: Iterable[str]) -> tuple[str, ...]:
    """QEMU's arguments for ``NAME=VALUE`` or ``NAME=@FILE``.

    Raises:
        LabError: a word has another form, its name cannot be used, or its file cannot be read.
    """
    result: list[str] = []
    seen: set[str] = set()
    for word in given:
        name, equals, value = word.partition("=")
        if problem := _problem(name, equals, value, seen):
            raise LabError(f"--fw-cfg {word}: {problem}", ExitCode.USAGE)
        seen.add(name)
        # A comma ends an option of QEMU's; a doubled one stands for itself.
        content = (
            f"file={_escaped(str(Path(value[1:]).resolve()))}" if value.startswith("@") else f"string={_escaped(value)}"
        )
        result += ["-fw_cfg", f"name={_escaped(name)},{content}"]
    return tuple(result)


def _problem(name: str, equals: str, value: str, seen: set[str]) -> str:
    if not equals or not value or value == "@":
        return "not of the form NAME=VALUE or NAME=@FILE"
    if not name.startswith(PREFIX) or name == PREFIX:
        return f"the name must begin with {PREFIX}, such as opt/org.stmlab/test-handler"
    if not name.isascii() or not name.isprintable() or len(name) > _NAME_LIMIT:
        return f"the name must be ASCII and have at most {_NAME_LIMIT} characters"
    if name == SCRIPT_KEY:
        return "this file holds the script; use --script"
    if name in seen:
        return "the name is given twice"
    if value.startswith("@") and not Path(value[1:]).is_file():
        return f"no such file: {value[1:]}"
    return ""


def _escaped(text: str) -> str:
    return text.replace(",", ",,")
