# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The programs of the chapters, by name; any other file below ``tests/machine`` runs the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError

FOLDER = paths.CHECKOUT / "tests" / "machine"
# A program that includes this has firmware, an SMI handler, and the real STM in MSEG.
STM_HEADER = "stm_under_test.h"


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        name: on the command line.
        title: a line for the list.
        source: relative to ``tests/machine``.
    """

    name: str
    title: str
    source: str

    @property
    def path(self) -> Path:
        """Its source."""
        return FOLDER / self.source

    @property
    def with_stm(self) -> bool:
        """Whether it needs the STM."""
        # Bytes, since a comment may be in any encoding.
        return STM_HEADER.encode() in self.path.read_bytes()


PROGRAMS = (
    Program("smi", "an SMI by itself: SMBASE, save state, TSEG from outside and from inside", "chapters/smi.c"),
    Program("waits", "a VMM that waits for exit reasons 5 and 6", "chapters/waits.c"),
    Program("activate", "VMCALLs that do not activate the STM, and one that does", "chapters/activate.c"),
    Program("own-vmm", "a VMM of one's own, which activates the STM and protects a page", "stm/own_vmm.c"),
    Program(
        "save-state", "what an SMI handler changes in the save state, and what comes back", "chapters/save_state.c"
    ),
    Program("rdtsc", "an SMI handler that reads the time-stamp counter", "chapters/rdtsc.c"),
    Program("attack", "an SMI handler against a page that the STM protects", "chapters/attack.c"),
    Program("sleep", "a VMM that traps the way into standby, leaves, and returns", "chapters/sleep.c"),
)


def find(name: str) -> Program:
    """The program of that name, or the file.

    Raises:
        LabError: there is neither.
    """
    for program in PROGRAMS:
        if program.name == name:
            return program
    path = Path(name).resolve()
    if path.suffix == ".c" and path.is_file():
        if not path.is_relative_to(FOLDER):
            raise LabError(
                f"{name} does not lie below {FOLDER}", ExitCode.USAGE, remedy="put it there, beside what it includes"
            )
        return Program(path.stem, "", str(path.relative_to(FOLDER)))
    names = ", ".join(program.name for program in PROGRAMS)
    raise LabError(f"no program has the name {name}", ExitCode.USAGE, remedy=f"there are {names}; or name a C file")
