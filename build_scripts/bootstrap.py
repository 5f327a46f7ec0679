# SPDX-License-Identifier: BSD-2-Clause-Patent
"""From a bare python3 to the lab's own environment, without a question.

Standard library only. The environment lies in the cache, is keyed by the lock
file and the interpreter, and holds exactly the packages whose hashes the lock
file lists.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from build_scripts import paths, system
from build_scripts.bundles import environment as bundled_environment
from build_scripts.bundles import host, record
from build_scripts.bundles.archive import CHECKOUT, EDK2, ENVIRONMENT, FIRMWARE, MACHINE, Bundle
from build_scripts.errors import ExitCode, LabError

LOCK_FILE = paths.CHECKOUT / "requirements.lock"
READY = "stmlab-ready"  # stamp: an environment without it is unfinished
PIP_TRIES = 3
# Commands that a bundle has everything for, and experiments that need what no bundle holds: the distribution's kernels.
_OF_A_BUNDLE = ("run", "shell", "report", "exercise", "bare")
_COMPILES = ("exercise", "bare")  # of these, what compiles a little
_NOT_OF_A_BUNDLE = ("linux", "kvm")


def _say(message: str) -> None:
    print(f"stmlab: {message}", file=sys.stderr, flush=True)


def _environment_name(python: str) -> str:
    """The name of the environment of this lock file and this interpreter."""
    version = subprocess.run(
        [python, "-c", "import sys, sysconfig; print(sys.version, sysconfig.get_platform(), sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    key = hashlib.sha256(LOCK_FILE.read_bytes() + version.encode()).hexdigest()[:12]
    return f"venv-{key}"


def environment_dir(python: str) -> Path:
    """Where the environment of this lock file and this interpreter lies: in the own cache, unless the shared has it."""
    name = _environment_name(python)
    places = [base / name for base in paths.caches()]
    return next((place for place in places if (place / READY).is_file()), places[0])


def ensure_environment(python: str) -> Path:
    """Return the environment's interpreter; make the environment if it is not there.

    Raises:
        LabError: venv or pip failed.
    """
    paths.need_checkout()  # it holds the list of packages
    environment = environment_dir(python)
    interpreter = environment / "bin" / "python"
    if (environment / READY).is_file():
        return interpreter
    with paths.locked(environment.name, _say):
        if (environment / READY).is_file():
            return interpreter
        _say(f"preparing the Python environment {environment}")
        # Scripts in an environment name their interpreter by path, so it is made in place, with a stamp last.
        shutil.rmtree(environment, ignore_errors=True)
        log = paths.cache_dir() / f"{environment.name}.log"
        with log.open("wb") as output:
            _logged([python, "-m", "venv", str(environment)], output.fileno(), log, tries=1)
            install = [str(interpreter), "-m", "pip", "install", "--no-input", "--require-hashes"]
            install += ["--disable-pip-version-check", "-r", str(LOCK_FILE)]
            _logged(install, output.fileno(), log, tries=PIP_TRIES)
        (environment / READY).touch()
    return interpreter


def _need_same_packages(bundle: Bundle) -> None:
    """Check that the bundle's packages are those that this checkout lists: an environment is found again by that list.

    Raises:
        LabError: they are others.
    """
    lock = bundle.members.get(f"{CHECKOUT}/{LOCK_FILE.name}")
    if lock is None or lock.sha256 != paths.sha256_file(LOCK_FILE):
        raise LabError(
            f"{bundle.archive} holds the packages of another checkout's {LOCK_FILE.name}",
            ExitCode.USAGE,
            remedy=f"use the checkout that it carries: python3 {bundle.archive} FOLDER",
        )


def environment_of_bundle(python: str, archive: Path, others: tuple[str, ...] = (MACHINE, FIRMWARE, EDK2)) -> None:
    """Make the environment from a bundle, if it is not there.

    Args:
        others: the parts that are unpacked after it, and that the disk must have room for as well.
    Raises:
        LabError: the bundle is damaged, of another checkout, or not for this system, or the disk is full.
    """
    environment = environment_dir(python)
    if (environment / READY).is_file():
        return
    with Bundle(archive) as bundle, paths.locked(environment.name, _say):
        if (environment / READY).is_file():
            return
        host.need_same(bundle)
        _need_same_packages(bundle)
        host.need_room(bundle, paths.cache_dir(), (ENVIRONMENT, *others))
        _say(f"verifying {archive}")
        bundle.verify()
        _say(f"taking the Python environment from it: {environment}")
        bundled_environment.make(bundle, python, environment, READY)


def _imports(arguments: list[str]) -> Path | None:
    """The bundle that the command line asks to import."""
    words = [word for word in arguments if not word.startswith("-")]
    return Path(words[2]) if words[:2] == ["bundle", "import"] and len(words) == 3 else None


def _needs(arguments: list[str]) -> tuple[system.Need, ...]:
    """The system's packages that a command needs; most can do without once a bundle has brought what they would build.

    What is missing and turns out to be needed after all is asked for then.
    """
    if arguments[:1] == ["bundle"]:
        return ()
    builds = any(word.startswith(_NOT_OF_A_BUNDLE) for word in arguments)
    if arguments[:1] and arguments[0] in _OF_A_BUNDLE and not builds and record.all_records():
        return system.STM_NEEDS if arguments[0] in _COMPILES else ()
    return system.NEEDS


def _logged(command: list[str], output: int, log: Path, tries: int) -> None:
    for _attempt in range(tries):
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
        if result.returncode == 0:
            return
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise LabError(f"the Python environment could not be made:\n{tail}", ExitCode.BUILD_FAILED, log=log)


def environment_has_packages() -> bool:
    """Whether this interpreter can run the lab itself, as after ``pip install -e .``."""
    from importlib.util import find_spec

    needed = ("rich", "qemu", "edk2toolext", "pytest", "jsonschema", "jinja2", "plotly", "perfetto")
    return all(find_spec(name) is not None for name in needed)


def ready() -> bool:
    """Whether `enter` would have nothing to install."""
    if sys.prefix != sys.base_prefix and environment_has_packages():
        return True
    return finished_environment() is not None and (bool(record.all_records()) or not system.missing())


def finished_environment() -> Path | None:
    """The environment that is there for one of this system's interpreters, if one is."""
    for python in system.PYTHONS:
        if python and Path(python).exists():
            # Each look starts the interpreter, and every command of the lab begins here.
            environment = environment_dir(python)
            if (environment / READY).is_file():
                return environment
    return None


def _only_looks(arguments: list[str]) -> bool:
    """Whether the command builds and boots nothing, so that it needs no compiler and no checkout."""
    return arguments[:1] in ([], ["doctor"], ["inspect"], ["completion"]) or bool({"-h", "--help"} & {*arguments})


def enter(arguments: list[str]) -> None:
    """Return only in an interpreter that has every package; start the command again otherwise.

    Args:
        arguments: the command line after ``-m build_scripts``.
    Raises:
        LabError: something is missing and could not be installed.
    """
    if not _only_looks(arguments):
        paths.need_checkout()
        system.ensure_packages(_needs(arguments))
        if arguments[:1] == ["test"] and not os.environ.get("STMLAB_ENTERED"):
            for words in system.without():
                _say(f"warning: {words}")
    if sys.prefix != sys.base_prefix and environment_has_packages():
        # A virtual environment with the packages: the lab's own, or a developer's.
        _put_scripts_on_path()
        return
    if (archive := _imports(arguments)) is not None:
        environment_of_bundle(sys.executable, archive)
    environment = finished_environment()
    if os.environ.get("STMLAB_ENTERED"):
        raise LabError("the Python environment lacks its packages", remedy=f"delete {environment or sys.prefix}")
    if environment is not None:
        interpreter = environment / "bin" / "python"
    else:
        python = system.find_python()
        if python is None:
            raise LabError(
                "no Python 3.11 or later that can create virtual environments",
                ExitCode.MISSING_PACKAGES,
                remedy="install python3 and python3-venv",
            )
        interpreter = ensure_environment(python)
    variables = dict(os.environ, STMLAB_ENTERED="1", PYTHONPATH=_python_path())
    os.execve(interpreter, [str(interpreter), "-m", "build_scripts", *arguments], variables)


def _python_path() -> str:
    """The checkout first, so that the command works from any directory."""
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(part for part in (str(paths.CHECKOUT), inherited) if part)


def _put_scripts_on_path() -> None:
    scripts = str(Path(sys.prefix) / "bin")
    entries = os.environ.get("PATH", "").split(os.pathsep)
    if scripts not in entries:
        os.environ["PATH"] = os.pathsep.join([scripts, *entries])
    # A process that this one starts bootstraps for itself.
    os.environ.pop("STMLAB_ENTERED", None)
