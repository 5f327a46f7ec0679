# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The STM's interface as EDK II's headers state it: numbers of calls, statuses of each, members of structures."""

from __future__ import annotations

import re
from functools import cache

from build_scripts.sources import sources

_STATUS = re.compile(r"^#define ((?:ERROR_|STM_CRASH_|STM_S|SMM_S)\w+) +(\S.*)$", re.MULTILINE)
_CALL = re.compile(r"/\*\*\n((?:(?!\*/).*\n)*?)\*\*/\n#define STM_API_(\w+) +(\S.*)$", re.MULTILINE)
_RETVAL = re.compile(r"@retval  EAX  #(\w+)")
_PARAMETER = re.compile(r"@param  (E[A-D]X)\b")
_STRUCTURE = re.compile(r"typedef struct \{\n(.*?)\n\} (\w+);", re.DOTALL)
_MEMBER = re.compile(r"^ +(?:UINT\d+|STM_\w+) +(\w+)(?:\[\w*\])?(?: *: *\d+)?;", re.MULTILINE)

# Of a call of nobody's.
UNKNOWN = 0x1_F234


def _header(name: str) -> str:
    return (sources.edk2_dir() / "MdePkg/Include/Register/Intel" / name).read_text(encoding="utf-8")


def _value(expression: str) -> int:
    """An expression of BITn and numbers that are combined by OR."""
    value = 0
    for word in re.findall(r"\w+", expression):
        value |= 1 << int(word[3:]) if word.startswith("BIT") else int(word, 0)
    return value


@cache
def statuses() -> dict[str, int]:
    """The codes of StmStatusCode.h and their values."""
    found = {name: _value(expression) for name, expression in _STATUS.findall(_header("StmStatusCode.h"))}
    assert found["ERROR_STM_UNSPECIFIED"] == 0x8001_FFFF and found["ERROR_INVALID_API"] == 0x8003_8001
    return found


@cache
def calls() -> dict[str, int]:
    """The calls of StmApi.h, without STM_API_, and their numbers."""
    found = {name: _value(expression) for _text, name, expression in _CALL.findall(_header("StmApi.h"))}
    assert len(found) == 12 and found["START"] == 0x1_0001
    return found


@cache
def named_statuses() -> dict[str, tuple[str, ...]]:
    """The statuses that StmApi.h names for each call, STM_SUCCESS first."""
    texts = {name: text for text, name, _number in _CALL.findall(_header("StmApi.h"))}
    return {
        name: (*(("STM_SUCCESS",) if "STM_SUCCESS" in text else ()), *dict.fromkeys(_RETVAL.findall(text)))
        for name, text in texts.items()
    }


@cache
def registers() -> dict[str, tuple[str, ...]]:
    """The registers that a call takes, but for the number in EAX."""
    texts = {name: text for text, name, _number in _CALL.findall(_header("StmApi.h"))}
    return {
        name: tuple(each for each in dict.fromkeys(_PARAMETER.findall(text)) if each != "EAX")
        for name, text in texts.items()
    }


@cache
def members() -> dict[str, tuple[str, ...]]:
    """The members of each structure of StmApi.h and StmResourceDescriptor.h that has a name of its own."""
    found: dict[str, tuple[str, ...]] = {}
    for header in ("StmApi.h", "StmResourceDescriptor.h"):
        for body, name in _STRUCTURE.findall(_header(header)):
            found[name] = tuple(dict.fromkeys(_MEMBER.findall(body)))
    return found
