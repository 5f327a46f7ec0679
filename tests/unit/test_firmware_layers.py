# SPDX-License-Identifier: BSD-2-Clause-Patent
"""StmPkg is made of layers: no file calls or includes in a circle, and no folder of the STM calls a higher one."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit import c_calls

#: The order of the STM's folders, from the top, as StmState.h tells it.
LAYER = re.compile(r"^    ([A-Z]\w+)  +\S", re.MULTILINE)
ASSEMBLY = (".nasm", ".inc")
_COMMENT = re.compile(r";.*")
_SYMBOL = re.compile(r"ASM_PFX\((\w+)\)")
_GLOBAL = re.compile(r"\bglobal\s+ASM_PFX\((\w+)\)")
_EXTERN = re.compile(r"^\s*extern\b.*$", re.MULTILINE)
_STUBS = re.compile(r"^EXCEPTION_STUBS\s+ASM_PFX\((\w+)\)", re.MULTILINE)
_INCLUDE = re.compile(r"^\s*[#%]\s*include\s*[\"<]([^\">]+)[\">]", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """StmPkg, or a copy of it with a fault."""

    root: Path

    @property
    def files(self) -> list[Path]:
        """Its C and assembly files."""
        return sorted(path for path in self.root.rglob("*") if path.suffix in (".c", ".h", *ASSEMBLY))

    def name(self, path: Path) -> str:
        """A file as the tests name it."""
        return str(path.relative_to(self.root))

    def module(self, path: Path) -> Path:
        """The folder whose INF lists a file; the root for what several modules share."""
        folders = [folder for folder in path.parents if folder.is_relative_to(self.root)]
        return next((folder for folder in folders if any(folder.glob("*.inf"))), self.root)

    def source(self, path: Path) -> c_calls.Source:
        """What a file defines and mentions."""
        text = path.read_text(encoding="utf-8")
        if path.suffix not in ASSEMBLY:
            return c_calls.scan(text.replace("STATIC ", "static ").replace("STATIC\n", "static\n"), path.suffix == ".h")
        text = _EXTERN.sub("", _COMMENT.sub("", text))
        defined = {*_GLOBAL.findall(text), *_STUBS.findall(text)}
        return c_calls.Source(defined=defined, mentioned=set(_SYMBOL.findall(text)))

    def calls(self) -> c_calls.Graph:
        """Per file the files whose functions it mentions: in its own module, else in a library."""
        sources = {path: self.source(path) for path in self.files}
        homes: dict[Path, dict[str, Path]] = {}
        for path, source in sources.items():
            home = homes.setdefault(self.module(path), {})
            for function in source.defined:
                assert home.setdefault(function, path) == path, f"{function}: {home[function]} and {path}"
        shared = {
            function: path
            for module, home in homes.items()
            if module.is_relative_to(self.root / "Library")
            for function, path in home.items()
        }
        graph: c_calls.Graph = {}
        for path, source in sources.items():
            known = shared | homes[self.module(path)]
            found = {known[word] for word in source.mentioned - source.private if word in known}
            graph[self.name(path)] = {self.name(callee) for callee in found - {path}}
        return graph

    def includes(self) -> c_calls.Graph:
        """Per file the package's files that it includes."""
        graph: c_calls.Graph = {}
        for path in self.files:
            places = [path.parent, self.module(path), self.root / "Include"]
            wanted = _INCLUDE.findall(path.read_text(encoding="utf-8"))
            found = [next((p for p in places if (p / name).is_file()), None) for name in wanted]
            graph[self.name(path)] = {
                self.name((place / name).resolve())
                for place, name in zip(found, wanted, strict=True)
                if place is not None
            }
        return graph

    def layers(self) -> list[str]:
        """Folders of the STM, the lowest first."""
        text = (self.root / "Stm/StmState.h").read_text(encoding="utf-8")
        return LAYER.findall(text[: text.index("**/")])[::-1]

    def upward(self, graph: c_calls.Graph) -> list[str]:
        """Edges from a folder of the STM to a higher one."""
        place = {f"Stm/{folder}": number for number, folder in enumerate(self.layers())}
        return [
            f"{caller} to {callee}"
            for caller, callees in graph.items()
            for callee in sorted(callees)
            if place.get(str(Path(caller).parent), -1) < place.get(str(Path(callee).parent), -1)
            and str(Path(caller).parent) in place
        ]


@pytest.fixture(scope="module")
def package(checkout: Path) -> Package:
    return Package(checkout / "StmPkg")


@pytest.fixture
def planted(package: Package, tmp_path: Path) -> Package:
    """A copy, for faults."""
    return Package(Path(shutil.copytree(package.root, tmp_path / "StmPkg")))


def append(package: Package, name: str, text: str) -> None:
    path = package.root / name
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_layers_are_the_folders(package: Package) -> None:
    folders = {path.name for path in (package.root / "Stm").iterdir() if path.is_dir()}
    layers = package.layers()
    assert set(layers) == folders and len(layers) == len(folders)
    assert layers[0] == "Log" and layers[-1] == "Entry"


def test_each_folder_has_one_header(package: Package) -> None:
    """Of functions that know the STM, but Protect/, which has one for each guard; the others are of pure code."""
    pure = {"Decode.h", "Mcfg.h", "PageMap.h", "Resource.h", "Walk.h"}
    for folder in set(package.layers()) - {"Entry"}:
        names = {path.name for path in (package.root / "Stm" / folder).glob("*.h")} - pure
        guards = {"Bitmap.h", "Ept.h", "Pci.h", "Snapshot.h"} if folder == "Protect" else set()
        assert names == {f"{folder}.h", *guards}


def test_no_circle_of_calls(package: Package) -> None:
    graph = package.calls()
    # A scan that reads nothing would find no circle either.
    assert graph["Stm/Entry/Exit.nasm"] >= {"Stm/Entry/Dispatch.c"}
    assert graph["Stm/Entry/Dispatch.c"] >= {"Stm/Exit/Smi.c", "Stm/Exit/Rsm.c", "Stm/Api/Lifecycle.c"}
    assert graph["Stm/Exit/Instruction.c"] >= {"Library/VmxMonitorLib/Instruction.c", "Stm/Guest/Enter.c"}
    assert graph["ExecutiveMonitor/Resident/Exit/Instruction.c"] >= {"Library/VmxMonitorLib/Instruction.c"}
    assert c_calls.circle(graph) == []


def test_no_circle_of_includes(package: Package) -> None:
    graph = package.includes()
    assert graph["Stm/Exit/Smi.c"] >= {"Stm/Exit/Exit.h", "Stm/Guest/Guest.h"}
    assert graph["Stm/Entry/Exit.nasm"] == {"Include/VmxRegisters.inc", "Stm/Layout.inc"}
    assert c_calls.circle(graph) == []


def test_no_folder_of_the_stm_calls_a_higher_one(package: Package) -> None:
    assert package.upward(package.calls()) == []
    assert package.upward(package.includes()) == []


@pytest.mark.parametrize(
    "text",
    [
        "VOID\nPlanted (\n  IN OUT STM_PROCESSOR  *Processor\n  )\n{\n  StmApiCompleteStart (Processor);\n}\n",
        "STATIC CONST VMX_EXIT_HANDLER  mPlanted[] = { StmApiCompleteStart };\n",
        "#define PLANTED(Processor)  \\\n  StmApiCompleteStart (Processor)\n",
    ],
    ids=["call", "pointer", "macro"],
)
def test_planted_call_is_found(planted: Package, text: str) -> None:
    """Entering the handler completes START: START enters the handler."""
    append(planted, "Stm/State/Handler.c", text)
    found = c_calls.circle(planted.calls())
    assert {"Stm/State/Handler.c", "Stm/Api/Lifecycle.c"} <= set(found)
    assert planted.upward(planted.calls()) == ["Stm/State/Handler.c to Stm/Api/Lifecycle.c"]


def test_planted_assembly_is_found(planted: Package) -> None:
    append(planted, "Stm/Init/LoadTables.nasm", "    call    ASM_PFX(StmActivate)\n")
    assert {"Stm/Init/LoadTables.nasm", "Stm/Init/Activate.c"} <= set(c_calls.circle(planted.calls()))


def test_planted_include_is_found(planted: Package) -> None:
    append(planted, "Stm/Guest/Guest.h", '#include "Exit/Smi.c"\n')
    assert {"Stm/Guest/Guest.h", "Stm/Exit/Smi.c"} <= set(c_calls.circle(planted.includes()))
    assert planted.upward(planted.includes()) == ["Stm/Guest/Guest.h to Stm/Exit/Smi.c"]


@pytest.mark.parametrize(
    "text",
    ["// StmApiCompleteStart ()\n", "/** StmApiCompleteStart () **/\n", "VOID\nStmApiCompleteStart (\n  VOID\n  );\n"],
    ids=["line comment", "comment", "declaration"],
)
def test_what_is_no_call_is_none(planted: Package, text: str) -> None:
    before = planted.calls()
    append(planted, "Stm/State/Handler.c", text)
    assert planted.calls() == before
