# SPDX-License-Identifier: BSD-2-Clause-Patent
"""chipsec from PyPI, and this system's Python, as files for the first file system of the machine's Linux."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from build_scripts import paths

VERSION = "1.13.16"
SHA256 = "63bed5ad4224402397817ea82b94c3a21736386a04ff778c003704bd6dfdbca3"
FOLDER = Path(__file__).resolve().parents[1] / "linux" / "audit"
# Of the standard library, what chipsec does not use.
_WITHOUT = (
    "test",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "tkinter",
    "turtledemo",
    "pydoc_data",
    "site-packages",
    "config-*",
)
_LINE = re.compile(r"^audit: (\S+): (\{.*\})$", re.MULTILINE)


class NoChipsec(Exception):
    """It could not be obtained."""


def source(folder: Path) -> Path:
    """chipsec's source from PyPI, unpacked below `folder`.

    Raises:
        NoChipsec: why not.
    """
    downloads = paths.cache_dir() / "downloads"
    downloads.mkdir(exist_ok=True)
    kept = downloads / f"chipsec-{VERSION}.tar.gz"
    if not (kept.is_file() and paths.sha256_file(kept) == SHA256):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        result = subprocess.run(
            [*command, "--no-build-isolation", "-d", str(downloads), f"chipsec=={VERSION}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if not kept.is_file() or paths.sha256_file(kept) != SHA256:
            raise NoChipsec(result.stderr.strip() or "another file than the pinned one")
    unpack(kept, folder)
    return folder / f"chipsec-{VERSION}"


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tarball below `folder`, with tar as everywhere in the lab: Debian 12's Python has no filters for it.

    Raises:
        NoChipsec: it is none, or a name in it leads out of the folder, which tar refuses.
    """
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(folder), "--no-same-owner"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoChipsec(f"{archive.name} cannot be unpacked: {result.stderr.strip()}")


def _libraries(files: list[Path]) -> set[Path]:
    """The shared libraries that programs and extension modules need, the loader among them."""
    result = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False)
    return {Path(name) for name in re.findall(r"(/[\w./+-]+\.so[\w.]*) \(0x", result.stdout)}


def files(folder: Path) -> dict[str, bytes]:
    """Python with its library, and chipsec with our description of q35, compiled; path to content.

    Args:
        folder: to work in.
    """
    standard = Path(sysconfig.get_path("stdlib"))
    python = (Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}").resolve()
    tree = folder / "tree"
    shutil.copytree(standard, tree / standard.relative_to("/"), ignore=shutil.ignore_patterns("__pycache__", *_WITHOUT))
    chipsec = source(folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.xml.bak")
    shutil.copytree(chipsec / "chipsec", tree / "audit" / "chipsec", ignore=ignored)
    shutil.copyfile(chipsec / "chipsec_main.py", tree / "audit" / "chipsec_main.py")
    shutil.copyfile(FOLDER / "q35.xml", tree / "audit" / "chipsec" / "cfg" / "8086" / "q35.xml")
    # Times do not survive the archive, so what is compiled must not depend on them.
    command = [
        str(python),
        "-m",
        "compileall",
        "-q",
        "-j",
        "2",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(tree),
    ]
    subprocess.run([*command, "-p", "/", str(tree)], check=False, capture_output=True)
    extensions = sorted((tree / standard.relative_to("/") / "lib-dynload").glob("*.so"))
    found = {str(path.relative_to(tree)): path.read_bytes() for path in sorted(tree.rglob("*")) if path.is_file()}
    found["usr/bin/python3"] = python.read_bytes()
    # As the loader finds them without a cache.
    for library in sorted(_libraries([python, *extensions])):
        place = "lib64" if library.name.startswith("ld-") else "lib/x86_64-linux-gnu"
        found[f"{place}/{library.name}"] = library.resolve().read_bytes()
    return found


def results(output: str) -> dict[str, str]:
    """Module to chipsec's own result, ``Passed`` for instance, from what the process wrote."""
    found = {}
    for name, text in _LINE.findall(output):
        for module, facts in json.loads(text).items():
            if module.endswith(name):
                found[name] = str(facts["result"])
    return found
