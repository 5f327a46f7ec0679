# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Which fuzz targets there are, and how one becomes a program. Standard library only: ``.clusterfuzzlite/build.sh``."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths

FOLDER = paths.CHECKOUT / "tests" / "fuzz"
SHARED = ("tests/fuzz/fuzz.c",)
# The STM's C as on the host elsewhere (tests/host). x86 takes misaligned accesses, and edk2's structures rely on it.
FLAGS = (
    *("-std=gnu11", "-fshort-wchar", "-fno-strict-aliasing", "-fno-sanitize=alignment"),
    *("-DEFIAPI=", "-DNO_MSABI_VA_FUNCS"),
)
_INCLUDES_OF_EDK2 = ("MdePkg/Include", "MdePkg/Include/X64", "OvmfPkg/Include")
_INCLUDES = ("StmPkg/Include", "StmPkg/Stm", "tests")


@dataclass(frozen=True)
class Target:
    """One fuzz target: a row of targets.toml.

    Attributes:
        name: of the program, too.
        what: is fuzzed.
        calls: which ones it counts.
        length: of the longest input, in bytes.
        sources: patterns of files, from the top of the checkout.
    """

    name: str
    what: str
    calls: str
    length: int
    sources: tuple[str, ...]

    def files(self) -> list[Path]:
        """What is compiled, in the order of the patterns.

        Raises:
            ValueError: a file that is named is not there.
        """
        found: dict[Path, None] = {}
        for pattern in (*SHARED, *self.sources):
            matching = sorted(paths.CHECKOUT.glob(pattern))
            if not matching and "*" not in pattern:
                raise ValueError(f"target {self.name}: there is no {pattern}")
            found |= dict.fromkeys(matching)
        return list(found)

    @property
    def dictionary(self) -> Path | None:
        """Its words for libFuzzer, if it has any."""
        path = FOLDER / "dictionaries" / f"{self.name}.dict"
        return path if path.is_file() else None


def load() -> dict[str, Target]:
    """All targets by name, in the order of the file."""
    rows = tomllib.loads((FOLDER / "targets.toml").read_text(encoding="utf-8"))
    return {
        name: Target(name, row["what"], row["calls"], row["length"], tuple(row["sources"]))
        for name, row in rows.items()
    }


@dataclass(frozen=True)
class Tools:
    """Compilers and flags, as ClusterFuzzLite gives them to a build script.

    Attributes:
        cc: compiles C.
        cxx: links, since the fuzzing engine is C++.
        flags: of both, sanitizers and coverage among them.
        engine: what links the fuzzing engine.
        edk2: the tree whose headers are used.
    """

    cc: str
    cxx: str
    flags: tuple[str, ...]
    engine: tuple[str, ...]
    edk2: Path

    @classmethod
    def of_environment(cls, variables: dict[str, str], edk2: Path) -> Tools:
        """From CC, CXX, CFLAGS and LIB_FUZZING_ENGINE."""
        return cls(
            variables["CC"],
            variables["CXX"],
            tuple(shlex.split(variables.get("CFLAGS", ""))),
            tuple(shlex.split(variables["LIB_FUZZING_ENGINE"])),
            edk2,
        )


def compile_command(tools: Tools, source: Path, output: Path) -> list[str]:
    """How one file is compiled."""
    folders = [tools.edk2 / name for name in _INCLUDES_OF_EDK2] + [paths.CHECKOUT / name for name in _INCLUDES]
    includes = [f"-I{folder}" for folder in folders]
    return [tools.cc, *tools.flags, *FLAGS, *includes, "-c", str(source), "-o", str(output)]


def link_command(tools: Tools, objects: Iterable[Path], output: Path) -> list[str]:
    """How a program is linked."""
    return [tools.cxx, *tools.flags, *map(str, objects), *tools.engine, "-o", str(output)]
