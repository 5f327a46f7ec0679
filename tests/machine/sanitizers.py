# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the sanitizers of the machine's variant are told, and what they reported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SUPPRESSIONS = Path(__file__).with_name("sanitizers.txt")
ERRORS = "errors.log"  # standard error, where the runtime of one of the two writes whatever it is told

_RUNTIME_ERROR = re.compile(r"^(?P<place>\S+?:\d+:\d+): runtime error: (?P<what>.*)$")
_ADDRESS_ERROR = re.compile(r"^==\d+==ERROR: (?P<what>.*)$")


@dataclass(frozen=True)
class Suppression:
    """Undefined behaviour of the unchanged QEMU: the file, words of the message, and why it is none of ours."""

    file: str
    words: str
    reason: str


@dataclass(frozen=True)
class Report:
    """One report; the trace is all of it."""

    what: str
    trace: str

    def __str__(self) -> str:
        return f"{self.what}\n{self.trace}"


def environment(folder: Path) -> dict[str, str]:
    """The variables that make the address sanitizer write to files of a folder.

    No leaks: QEMU ends without freeing.  No checks of stacks after return:
    QEMU's coroutines have stacks of their own.
    """
    log = folder / "sanitizer"
    return {
        "ASAN_OPTIONS": f"log_path={log}:detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def note_errors(folder: Path, errors: str) -> None:
    """Adds what a run wrote to standard error to what `reports` reads."""
    with (folder / ERRORS).open("a", encoding="utf-8") as file:
        file.write(f"{errors}\n")


def suppressions(path: Path = SUPPRESSIONS) -> list[Suppression]:
    """The lines ``FILE: WORDS # REASON`` of the list.

    Raises:
        ValueError: a line has another form, or no reason.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+): (.+?)\s+# (.+)", line)
        if not match:
            raise ValueError(f"{path.name}: not FILE: WORDS # REASON: {line}")
        found.append(Suppression(*match.groups()))
    return found


def _suppressed(report: Report, known: list[Suppression]) -> bool:
    place = report.what.split(":")[0]
    return any(place.endswith(s.file) and s.words in report.what for s in known)


def parse(text: str) -> list[Report]:
    """The reports of one file of the sanitizers."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if match := _RUNTIME_ERROR.match(line):
            found.append((f"{match['place']}: {match['what']}", []))
        elif match := _ADDRESS_ERROR.match(line):
            found.append((match["what"], []))
        elif found:
            found[-1][1].append(line)
    return [Report(what, "\n".join(trace)) for what, trace in found]


def reports(folder: Path, known: list[Suppression]) -> list[Report]:
    """Every report in the folder that is not a known one, each place once."""
    found: dict[str, Report] = {}
    for path in sorted([*folder.glob("sanitizer.*"), *folder.glob(ERRORS)]):
        for report in parse(path.read_text(encoding="utf-8", errors="replace")):
            if not _suppressed(report, known):
                found.setdefault(report.what, report)
    return list(found.values())
