# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The Python environment in a bundle: packed as files, set up again at another place and without a network.

Standard library only.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from build_scripts.bundles.archive import ENVIRONMENT, Bundle
from build_scripts.errors import ExitCode, LabError

# What `venv` makes anew, for the interpreter and the place.
_MADE = ("pyvenv.cfg", "lib64", "include")
_MADE_PROGRAMS = ("python", "activate", "Activate")


def kind_of_python() -> str:
    """Interpreters of one kind can load each other's compiled modules, such as ``cpython-311-x86_64-linux-gnu``."""
    return str(sysconfig.get_config_var("SOABI"))


def files(environment: Path) -> Iterator[tuple[str, Path]]:
    """The files of an environment that belong into a bundle, each with its name there."""
    for path in sorted(environment.rglob("*")):
        relative = path.relative_to(environment)
        if relative.parts[0] in _MADE or path.is_symlink() or not path.is_file():
            continue
        if relative.parts[0] == "bin" and relative.name.startswith(_MADE_PROGRAMS):
            continue
        yield f"{ENVIRONMENT}/{relative.as_posix()}", path


def make(bundle: Bundle, python: str, environment: Path, ready: str) -> None:
    """Set up a bundle's environment in a folder, in place, since its programs name it.

    Args:
        python: the interpreter that it is for.
        environment: the folder; what is in it is thrown away.
        ready: name of the stamp that comes last.
    Raises:
        LabError: the bundle is damaged, or ``venv`` failed.
    """
    shutil.rmtree(environment, ignore_errors=True)
    # Packages come from the bundle, so ensurepip, which Debian has in another package, is not needed.
    command = [python, "-m", "venv", "--without-pip", str(environment)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"the Python environment could not be made: {result.stderr.strip()}", ExitCode.BUILD_FAILED)
    only = [name for name in bundle.names(ENVIRONMENT) if name != f"{ENVIRONMENT}/{ready}"]
    bundle.unpack(ENVIRONMENT, environment, only=only)
    before, after = str(bundle.header["environment"]).encode(), str(environment).encode()
    for program in (environment / "bin").iterdir():
        if program.is_symlink() or not program.is_file():
            continue
        text = program.read_bytes()
        if text.startswith(b"#!") and before in text:
            program.write_bytes(text.replace(before, after))
    (environment / ready).touch()
