# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every patch of the series compiles by itself, so that one can bisect QEMU with it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from build_scripts.builds import qemu_build
from build_scripts.sources import sources

pytestmark = [pytest.mark.machine, pytest.mark.long]

# From this patch on there are calls to our own files.
FIRST_WITH_VMX = "CPU-model-state-and-reset-of-VMX"
TRANSLATOR, PROCESSOR = "target/i386/tcg/translate.c", "target/i386/cpu.c"
DECODER = ("target/i386/helper.h", "target/i386/tcg/decode-new.h")
# What a compiler writes: none of it is wanted.
WRITTEN = re.compile(r"-(MD|c)$")
WRITTEN_TO = ("-o", "-MQ", "-MF")


@dataclass(frozen=True)
class Tree:
    """QEMU's source with a part of the series.

    Attributes:
        source: the tree, of links to the pristine one but for what the series touches.
        build: a finished build of the whole series, whose generated headers serve all patches.
        commands: by source file, how that build compiled it.
    """

    source: Path
    build: Path
    commands: dict[str, list[str]]

    def apply(self, patch: Path) -> None:
        """Apply the next patch."""
        command = ["patch", "--directory", str(self.source), "-p1", "--fuzz=0", "--no-backup-if-mismatch", "--batch"]
        subprocess.run([*command, "--input", str(patch)], check=True, capture_output=True)

    def complaints(self, file: str) -> str:
        """What the compiler says of a file; empty if it compiles."""
        done = subprocess.run(self.commands[file], cwd=self.build, capture_output=True, text=True, check=False)
        return f"{file}:\n{done.stderr}" if done.returncode else ""


def _command(entry: dict[str, str], build: Path, source: Path) -> list[str]:
    """The compiler's words, for the tree, without output."""
    words = iter(shlex.split(entry["command"]))
    kept = [word for word in words if not WRITTEN.match(word) and not (word in WRITTEN_TO and next(words))]
    moved = [word.replace(str(build.parent / "src"), str(source)).replace("../src", str(source)) for word in kept]
    return [*moved, "-fsyntax-only", "-Werror"]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The pinned source before the first patch."""
    qemu_build.extended_qemu()
    folder = qemu_build.updated_tree()
    build, source = folder / "build", tmp_path / "src"
    subprocess.run(["ninja", "-C", str(build), qemu_build.BINARY], check=True, capture_output=True)
    pristine = sources.locate("qemu").path
    subprocess.run(["cp", "--archive", "--symbolic-link", str(pristine), str(source)], check=True)
    for relative in qemu_build.touched_files(qemu_build.patches()):
        (source / relative).unlink(missing_ok=True)
        if (pristine / relative).is_file():
            shutil.copyfile(pristine / relative, source / relative)
    entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    return Tree(
        source, build, {entry["file"].removeprefix("../src/"): _command(entry, build, source) for entry in entries}
    )


def _compiled_files(touched: list[str], commands: dict[str, list[str]]) -> list[str]:
    """The touched sources, and one that includes a touched part or header: the build of the whole has them all."""
    parts = any(name.endswith(".inc") or name in DECODER for name in touched)
    headers = any(name.endswith(".h") for name in touched)
    wanted = {*touched, *([TRANSLATOR] if parts else []), *([PROCESSOR] if headers else [])}
    return sorted(name for name in wanted if name in commands)


def _faults(tree: Tree) -> Iterator[str]:
    series = qemu_build.patches()
    compiled = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for patch in series:
            if FIRST_WITH_VMX in patch.name:
                for path in qemu_build.overlay_files():
                    target = tree.source / qemu_build.OVERLAY_TARGET / path.relative_to(qemu_build.OVERLAY / "vmx")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
            tree.apply(patch)
            files = _compiled_files(qemu_build.touched_files([patch]), tree.commands)
            compiled += len(files)
            for told in filter(None, pool.map(tree.complaints, files)):
                yield f"{patch.name}: {told}"
    assert compiled > len(series)


def test_each_patch_compiles(tree: Tree) -> None:
    """With what the series has touched until then, and its compiler warnings as errors."""
    assert list(_faults(tree)) == []
