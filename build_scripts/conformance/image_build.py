# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Builds the bare-metal test images: 128 KiB ROMs for QEMU's ``-bios``.

An image is the runtime and one source of ``images/`` (both below
``tests/machine`` in the checkout), linked
flat at 1 MiB, followed by a 4-KiB reset block that copies it from ROM to RAM.
Results are kept in the user's cache, keyed by the content of every input.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from build_scripts import cache, paths
from build_scripts.errors import ExitCode, LabError

TESTS = paths.CHECKOUT / "tests"
RUNTIME = TESTS / "machine" / "runtime"
IMAGES = TESTS / "machine" / "images"

TOOLS = ("gcc", "nasm", "ld", "objcopy")
KEPT_IMAGES = 2000  # some hundred belong to one checkout
ROM_SIZE = 0x20000
BOOT_SIZE = 0x1000

CFLAGS = (
    "-std=gnu11 -Os -m64 -mno-red-zone -mgeneral-regs-only -mcmodel=small "
    "-ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none "
    "-fno-asynchronous-unwind-tables -fno-strict-aliasing -ffunction-sections "
    "-Wall -Wextra -Werror -Wno-array-bounds -Wno-missing-field-initializers"
).split()


class BuildError(RuntimeError):
    """A tool of the image build failed; the text is its output."""


@dataclass(frozen=True)
class Rom:
    """A built image: the ROM for ``-bios`` and the ELF file with its symbols."""

    rom: Path
    elf: Path


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")


@functools.cache
def _tools() -> str:
    """What decides the output apart from the sources."""
    versions = [
        subprocess.run(list(command), capture_output=True, text=True, check=True).stdout
        for command in (("gcc", "-dumpfullversion"), ("nasm", "-v"), ("ld", "-v"))
    ]
    return "".join(versions) + " ".join(CFLAGS)


def missing_tools() -> list[str]:
    """Names of the build tools that are not on the path."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


def need_images() -> None:
    """Check that images can be built here.

    Raises:
        LabError: this is no checkout, or a tool that builds images is missing.
    """
    if not IMAGES.is_dir():
        raise LabError(f"{paths.CHECKOUT} holds no test images", ExitCode.USAGE, remedy="run it from the checkout")
    if missing := missing_tools():
        raise LabError(f"the images need {', '.join(missing)}", ExitCode.MISSING_PACKAGES)


def _compile(sources: list[Path], into: Path, defines: tuple[str, ...]) -> list[Path]:
    objects = []
    for source in sources:
        result = into / f"{source.name}.o"
        if source.suffix == ".asm":
            _run(["nasm", "-f", "elf64", "-Werror", f"-I{RUNTIME}/"] + ["-o", str(result), str(source)])
        else:
            _run(
                ["gcc", *CFLAGS, *(f"-D{define}" for define in defines)]
                + [f"-I{RUNTIME}", "-c", "-o", str(result), str(source)]
            )
        objects.append(result)
    return objects


def _link(objects: list[Path], into: Path) -> None:
    elf, flat, boot = into / "image.elf", into / "image.flat", into / "boot.bin"
    _run(
        ["ld", "-nostdlib", "-static", "--no-warn-rwx-segments", "-z", "noexecstack"]
        + ["-T", str(RUNTIME / "image.ld"), "-o", str(elf), *map(str, objects)]
    )
    _run(["objcopy", "-O", "binary", str(elf), str(flat)])
    _run(["nasm", "-f", "bin", "-o", str(boot), str(RUNTIME / "boot.asm")])
    body = flat.read_bytes()
    if len(body) > ROM_SIZE - BOOT_SIZE:
        raise BuildError(f"{elf}: {len(body)} bytes do not fit the ROM")
    rom = body.ljust(ROM_SIZE - BOOT_SIZE, b"\0") + boot.read_bytes()
    (into / "image.rom").write_bytes(rom)


def _kept(key: str, make: Callable[[Path], None], what: str) -> Path:
    """A finished result; without a lock, since many are made at once and each takes a second."""
    return cache.obtain("machine-images", lambda: key, make, what, keep=KEPT_IMAGES)


def _headers(*folders: Path) -> list[Path]:
    kinds = {".h", ".inc", ".ld"}
    return sorted({p for folder in folders for p in folder.iterdir() if p.suffix in kinds})


def _runtime_objects() -> tuple[str, list[Path]]:
    """The runtime's key and objects; every image shares them."""
    sources = sorted(p for p in RUNTIME.iterdir() if p.suffix in {".asm", ".c"})
    key = paths.content_key([*sources, *_headers(RUNTIME)], (_tools(),), RUNTIME)
    compiled = [p for p in sources if p.name != "boot.asm"]  # not an object: raw bytes

    def make(folder: Path) -> None:
        _compile(compiled, folder, ())

    target = _kept(key, make, "the runtime of the images")
    return key, [target / f"{source.name}.o" for source in compiled]


def build_image(sources: tuple[str, ...], defines: tuple[str, ...] = ()) -> Rom:
    """Builds the image made of these files and the runtime.

    Sources are relative to ``images/``, or absolute and below ``tests/``; the
    defines reach them, not the runtime.  Headers beside the sources count as
    inputs.  A finished image of the same inputs is used again.

    Raises:
        BuildError: a tool failed; the text is its output.
    """
    own = [IMAGES / name for name in sources]
    runtime_key, objects = _runtime_objects()
    inputs = [*own, *_headers(*(source.parent for source in own))]
    key = paths.content_key(inputs, (_tools(), runtime_key, *defines), TESTS)

    def make(folder: Path) -> None:
        _link([*objects, *_compile(own, folder, defines)], folder)

    target = _kept(key, make, f"image {own[0].name}")
    return Rom(target / "image.rom", target / "image.elf")
