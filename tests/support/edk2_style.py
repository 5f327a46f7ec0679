# SPDX-License-Identifier: BSD-2-Clause-Patent
"""edk2's C style, checked and mended by the distribution's uncrustify.

edk2 formats with a fork of uncrustify that has options of its own and comes from
NuGet. The configuration here is edk2's, taken from the edk2 tree, without the
options that this uncrustify does not know. What these do is made up for:

* ``indent_func_call_edk2_style``: the arguments of a call that takes several lines
  stand two columns right of the function's name. Inside parentheses the
  indentation is not compared; `call_indentation` checks it.
* ``align_edk2_style``, ``cmt_align_doxygen_javadoc_tags``: the columns of
  Doxygen's tags are not checked.

uncrustify 0.72 also indents the type under ``typedef`` and takes the second
parenthesis of ``DEBUG ((`` for a call of its own; neither is compared.

``python3 -m tests.support.edk2_style FILE ...`` mends files in place.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from build_scripts.sources import sources

CONFIGURATION = Path(".pytool/Plugin/UncrustifyCheck/uncrustify.cfg")
# edk2's configuration asks for CRLF, as its repository once had.
PINNED = {"newlines": "lf"}
_OPTION = re.compile(r"^(\w+)\s*=")
_TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[()\n]""", re.DOTALL)
_CALL = re.compile(r"(\w+) \(\(?$")
_STATEMENTS = ("if", "while", "for", "switch", "return", "sizeof")


@cache
def _known_options() -> frozenset[str]:
    shown = subprocess.run(["uncrustify", "--show-config"], capture_output=True, text=True, check=True).stdout
    return frozenset(match[1] for line in shown.splitlines() if (match := _OPTION.match(line)))


def configuration(text: str) -> tuple[str, list[str]]:
    """A configuration for this uncrustify, and the options of edk2's that it lacks."""
    lines, dropped = [], []
    for line in text.splitlines():
        match = _OPTION.match(line)
        if match and match[1] not in _known_options():
            dropped.append(match[1])
        elif match and match[1] in PINNED:
            lines.append(f"{match[1]} = {PINNED[match[1]]}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n", dropped


def edk2_configuration() -> str:
    """edk2's file, from the tree that the firmware is built of."""
    return (sources.edk2_dir() / CONFIGURATION).read_text(encoding="utf-8")


def formatted(text: str) -> str:
    """What uncrustify makes of a C file.

    Raises:
        subprocess.CalledProcessError: it cannot parse it.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".cfg", encoding="utf-8") as config:
        config.write(configuration(edk2_configuration())[0])
        config.flush()
        command = ["uncrustify", "-q", "-l", "C", "-c", config.name]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _depths(text: str) -> list[int]:
    """How many parentheses are open at the start of each line."""
    depths, depth = [0], 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        depth += {"(": 1, ")": -1}.get(token, 0)
        depths += [depth] * token.count("\n")
    return depths


def _compared(text: str) -> list[tuple[str, list[str]]]:
    """The lines of a file without what uncrustify cannot know of edk2's style, and as they are."""
    groups: list[tuple[str, list[str]]] = []
    for line, depth in zip(text.split("\n"), _depths(text), strict=True):
        last = groups[-1][0] if groups else ""
        bare = line.lstrip() if depth > 0 or last == "typedef" else line
        joined = (bare == "(" and last.endswith("DEBUG (")) or (bare == ");" and last == ")")
        if joined:
            groups[-1] = (last + bare, [*groups[-1][1], line])
        else:
            groups.append((bare, [line]))
    return groups


def call_indentation(text: str) -> list[str]:
    """Lines after a call's opening parenthesis that do not stand two columns right of its name."""
    found = []
    lines = text.split("\n")
    depths = _depths(text)
    for number, line in enumerate(lines[:-1]):
        match = _CALL.search(line)
        if not match or match[1] in _STATEMENTS or line.lstrip().startswith(("*", "//", "#")):
            continue
        column, inside = match.start() + 2, depths[number + 1]
        for other in range(number + 1, len(lines)):
            text_of = lines[other].lstrip()
            if depths[other] <= inside and text_of and len(lines[other]) - len(text_of) != column:
                found.append(f"{other + 1}: not in column {column + 1}: {text_of}")
            if other + 1 < len(lines) and depths[other + 1] < inside:
                break
    return found


def findings(name: str, text: str) -> list[str]:
    """What is not edk2's style in a file, as a difference and as lines."""
    before = [compared for compared, _lines in _compared(text)]
    after = [compared for compared, _lines in _compared(formatted(text))]
    difference = difflib.unified_diff(before, after, name, f"{name} (edk2's style)", lineterm="", n=0)
    return [*difference, *(f"{name}:{found}" for found in call_indentation(text))]


def mended(text: str) -> str:
    """The file with uncrustify's lines where the two differ in what is compared."""
    before, after = _compared(text), _compared(formatted(text))
    matcher = difflib.SequenceMatcher(None, [key for key, _ in before], [key for key, _ in after], autojunk=False)
    lines: list[str] = []
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        chosen = before[start:end] if kind == "equal" else after[new_start:new_end]
        lines += [line for _key, group in chosen for line in group]
    return "\n".join(lines)


def main(names: list[str]) -> int:
    """Mend files in place; returns 1 if something is left that only a person can mend."""
    left = []
    for name in names:
        path = Path(name)
        text = path.read_text(encoding="utf-8")
        better = mended(text)
        if better != text:
            path.write_text(better, encoding="utf-8")
        left += findings(name, better)
    print("\n".join(left))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
