# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Builds fuzz targets into a folder: programs, seeds, dictionaries and options as OSS-Fuzz expects them.

Needs no package but pefile. ``.clusterfuzzlite/build.sh`` runs ``python3 -m build_scripts.fuzzing.build EDK2 OUT`` with
CC, CXX, CFLAGS and LIB_FUZZING_ENGINE in the environment; the command ``fuzz`` calls `build` with clang.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from build_scripts.fuzzing import seeds
from build_scripts.fuzzing.targets import Target, Tools, compile_command, link_command, load


class CompileError(Exception):
    """What the compiler said."""


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CompileError(f"$ {' '.join(command)}\n{result.stdout}{result.stderr}")


def _objects(tools: Tools, targets: list[Target], work: Path) -> dict[Path, Path]:
    """Every file once, whichever targets it belongs to."""
    sources = list(dict.fromkeys(source for target in targets for source in target.files()))
    objects = {source: work / f"{number}-{source.stem}.o" for number, source in enumerate(sources)}
    commands = [compile_command(tools, source, output) for source, output in objects.items()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(_run, commands):
            pass
    return objects


def _absent(objects: list[Path]) -> list[str]:
    """Functions of the STM that the objects call and none of them defines; those of libraries are in lower case."""
    listing = subprocess.run(["nm", "-P", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    symbols = [words[:2] for line in listing.splitlines() if len(words := line.split()) >= 2]
    wanted = {name for name, kind in symbols if kind == "U" and name[0].isupper()}
    return sorted(wanted - {name for name, kind in symbols if kind != "U"})


def _stand_ins(tools: Tools, target: Target, objects: list[Path], work: Path) -> list[Path]:
    """An object with functions that fail when they are called: a part of the STM calls others that no input reaches."""
    names = _absent(objects)
    if not names:
        return []
    source = work / f"{target.name}-absent.c"
    lines = ['#include "fuzz/fuzz.h"']
    lines += [
        f'VOID {name} (VOID) {{ FuzzFail ("no call of {name}, which is not here", "{name}", 0); }}' for name in names
    ]
    source.write_text("\n".join(lines) + "\n", encoding="ascii")
    _run(compile_command(tools, source, source.with_suffix(".o")))
    return [source.with_suffix(".o")]


def write_seeds(target: Target, archive: Path) -> None:
    """Put the seeds of a target into an archive, the same bytes each time."""
    with zipfile.ZipFile(archive, "w") as file:
        for number, seed in enumerate(seeds.of(target.name)):
            file.writestr(zipfile.ZipInfo(f"seed-{number:03}"), seed)


def build(tools: Tools, targets: list[Target], out: Path) -> None:
    """Make all that a target consists of.

    Args:
        out: a folder; gets NAME, NAME_seed_corpus.zip, NAME.options, and NAME.dict where there is one.
    Raises:
        CompileError: a file does not compile, or a program does not link.
    """
    with tempfile.TemporaryDirectory() as work:
        objects = _objects(tools, targets, Path(work))
        for target in targets:
            own = [objects[source] for source in target.files()]
            own += _stand_ins(tools, target, own, Path(work))
            _run(link_command(tools, own, out / target.name))
            write_seeds(target, out / f"{target.name}_seed_corpus.zip")
            (out / f"{target.name}.options").write_text(f"[libfuzzer]\nmax_len = {target.length}\n", encoding="ascii")
            if target.dictionary is not None:
                shutil.copyfile(target.dictionary, out / f"{target.name}.dict")


def main(arguments: list[str]) -> int:
    """For build.sh: all targets, tools from the environment."""
    edk2, out = map(Path, arguments)
    try:
        build(Tools.of_environment(dict(os.environ), edk2), list(load().values()), out)
    except CompileError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
