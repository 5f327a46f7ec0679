# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The comment block in front of each function, as edk2's C Coding Standards ask for it.

Each definition has a block with an ``@param`` for each parameter, in their order
and with the direction that the parameter's IN and OUT say, and with ``@return``
or ``@retval`` unless the function returns nothing. edk2's own check, EccCheck,
looks only at what differs from its repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A definition, or in a header a declaration, as uncrustify leaves it: a word a line, a parameter a line.
_FUNCTION = re.compile(
    r"^(?P<type>(?:[A-Za-z_][\w ]*\**\n)+)"
    r"(?P<name>\w+) \(\n"
    r"(?P<parameters>(?:  .*\n)*?)"
    r"  \)(?P<end>\n\{|;)",
    re.MULTILINE,
)
_BLOCK = re.compile(r"/\*\*\n(?P<text>(?:(?!\*\*/).*\n)*?)\*\*/\n\Z")
_TAG = re.compile(r"^  @(?P<tag>param|return|retval)(?:\[(?P<direction>[a-z,]+)\])?(?: +(?P<word>\S+))?", re.MULTILINE)
_PARAMETER = re.compile(r"^  (?P<words>.*?)(?P<name>\w+|\.\.\.)(?:\[\w*\])*,?$")
_STORAGE = {"STATIC", "EFIAPI", "VOID EFIAPI", "extern"}
_DIRECTIONS = {("IN",): "in", ("OUT",): "out", ("IN", "OUT"): "in,out", (): ""}


@dataclass(frozen=True)
class Function:
    """One function of a file.

    Attributes:
        name: of the function.
        line: where its type begins.
        returns: its type, without storage class and calling convention.
        parameters: direction ("in", "out", "in,out" or empty) and name of each.
        block: the text of the comment block in front of it; None if there is none.
        body: it is a definition.
    """

    name: str
    line: int
    returns: str
    parameters: tuple[tuple[str, str], ...]
    block: str | None
    body: bool


def _parameters(lines: str) -> Iterator[tuple[str, str]]:
    for line in lines.splitlines():
        match = _PARAMETER.match(re.sub(r" +OPTIONAL\b", "", line))
        if match is None or (match["name"] == "VOID" and not match["words"].strip()):
            continue
        words = tuple(word for word in match["words"].split() if word in ("IN", "OUT"))
        yield _DIRECTIONS.get(words, "?"), match["name"]


def functions(text: str) -> list[Function]:
    """The functions of a C file or header, in their order."""
    found = []
    for match in _FUNCTION.finditer(text):
        words = [line.strip() for line in match["type"].splitlines()]
        block = _BLOCK.search(text, 0, match.start())
        found.append(
            Function(
                match["name"],
                text.count("\n", 0, match.start()) + 1,
                " ".join(word for word in words if word not in _STORAGE),
                tuple(_parameters(match["parameters"])),
                block["text"] if block else None,
                match["end"] != ";",
            )
        )
    return found


def _complaints(function: Function) -> Iterator[str]:
    if function.block is None:
        if function.body:  # a header may declare the rows of a table of functions together
            yield "no comment block"
        return
    tags = [match.groupdict() for match in _TAG.finditer(function.block)]
    told = [(tag["direction"] or "", tag["word"] or "") for tag in tags if tag["tag"] == "param"]
    names = [name for _direction, name in told]
    for direction, name in function.parameters:
        if name not in names:
            yield f"no @param for {name}"
        elif (direction, name) not in told and name != "...":
            yield f"@param of {name} is not [{direction}]"
    wanted = [name for _direction, name in function.parameters]
    yield from (f"@param for {name}, which it does not have" for name in names if name not in wanted)
    if sorted(names) == sorted(wanted) and names != wanted:
        yield "@param not in the order of the parameters"
    results = [tag for tag in tags if tag["tag"] != "param"]
    if function.returns == "VOID" and results:
        yield "@return, and it returns nothing"
    if function.returns != "VOID" and not results:
        yield "neither @return nor @retval"
    if not re.search(
        r"^  \w", re.sub(r"^  @[^\n]*(?:\n   [^\n]*)*", "", function.block, flags=re.MULTILINE), re.MULTILINE
    ):
        yield "no sentence about what it does"


def findings(name: str, text: str) -> list[str]:
    """What lacks in the comment blocks of a file's functions, a line each.

    Args:
        name: of the file; in one that ends in ``.h`` declarations count, too.
        text: its content.
    """
    return [
        f"{name}:{function.line}: {function.name}: {complaint}"
        for function in functions(text)
        if function.body or name.endswith(".h")
        for complaint in _complaints(function)
    ]
