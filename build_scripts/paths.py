# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Where things are: the checkout, the cache, the run directories; and locks between processes.

Standard library only: the bootstrap uses it before any package is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from build_scripts.errors import ExitCode, LabError

# Old results that nothing has used for so many newer ones are removed.
KEPT_RUNS = 200
KEPT_RESULTS = 30

CHECKOUT = Path(__file__).resolve().parents[1]
SCHEMAS = Path(__file__).resolve().parent / "schema"
TEMPLATES = SCHEMAS.with_name("templates")


# What only a checkout holds, and a package installed by itself lacks.
_CHECKOUT_PARTS = ("Platform/QemuVmx", "Platform/OvmfStmPkg", "StmPkg", "tests", "requirements.lock")


def need_checkout() -> None:
    """Check that the lab runs from its checkout, whose sources it builds.

    Raises:
        LabError: it was installed without.
    """
    if not all((CHECKOUT / part).exists() for part in _CHECKOUT_PARTS):
        raise LabError(
            "this is the lab's Python package alone; what it builds and boots is in its repository",
            ExitCode.USAGE,
            remedy="clone the repository and run 'python3 -m build_scripts' in it, or 'pip install -e .' there",
        )


_DEFAULTS = {"XDG_CACHE_HOME": ".cache", "XDG_STATE_HOME": ".local/state"}


def base_of(variable: str) -> Path:
    """The lab's folder below the one that a variable of the XDG specification names; it need not exist."""
    given = os.environ.get(variable, "")
    # The specification: relative paths are invalid and ignored.
    base = Path(given) if given.startswith("/") else Path.home() / _DEFAULTS[variable]
    return base / "stmlab"


def _made(variable: str) -> Path:
    path = base_of(variable)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = f"set {variable} to a folder that you may write"
        raise LabError(f"{path} cannot be made ({error.strerror})", ExitCode.USAGE, remedy=remedy) from error
    return path


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/stmlab``: sources, build trees, finished binaries. Safe to delete."""
    return _made("XDG_CACHE_HOME")


def shared_cache() -> Path | None:
    """The cache that ``STMLAB_SHARED_CACHE`` names: somebody else's, looked into after one's own and never written."""
    given = os.environ.get("STMLAB_SHARED_CACHE", "")
    return Path(given) if given.startswith("/") else None


def caches() -> list[Path]:
    """Where finished things are looked for, in order: one's own cache, the shared one."""
    shared = shared_cache()
    return [cache_dir(), *([shared] if shared is not None else [])]


def state_dir() -> Path:
    """``$XDG_STATE_HOME/stmlab``: run directories with their logs."""
    return _made("XDG_STATE_HOME")


def runs_dir() -> Path:
    """Where `new_run_dir` makes the directories of runs."""
    return state_dir() / "runs"


@contextmanager
def locked(name: str, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the cache's lock `name`; a second process waits for the first.

    The kernel drops the lock when its holder dies, so none is ever stale.

    Args:
        name: which lock; one per thing that is built.
        waiting: called once with a message if another process holds it.
    """
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting(f"waiting for another process that is preparing {name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give a staging directory that becomes `target` if the block succeeds.

    Readers see all of `target` or nothing. A loser of a race keeps the winner's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
    staging.mkdir()
    try:
        yield staging
        try:
            staging.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        if staging.exists():
            shutil.rmtree(staging, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file, in lower-case hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def files_below(*roots: Path) -> list[Path]:
    """All files in these files and folders, sorted, without Python's byte code."""
    found: set[Path] = set()
    for root in roots:
        if root.is_file():
            found.add(root)
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(path)
    return sorted(found)


def content_key(files: Iterable[Path], extra: Iterable[str] = (), base: Path = CHECKOUT) -> str:
    """A key that changes when a file's name or content does, or one of the extra strings.

    Args:
        files: files below `base`, whose place does not enter the key.
        extra: versions, flags and whatever else decides a result.
        base: folder that names are relative to.
    """
    digest = hashlib.sha256()
    for text in extra:
        digest.update(f"={text}\0".encode())
    for path in files:
        digest.update(f"{path.relative_to(base)}\0{sha256_file(path)}\0".encode())
    return digest.hexdigest()[:20]


def prune(folder: Path, keep: int) -> None:
    """Remove all but the `keep` last used entries of a folder of finished results."""

    def used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            return 0.0  # another process removed it meanwhile

    for path in sorted(folder.iterdir(), key=used, reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def new_run_dir(kind: str) -> Path:
    """A fresh directory for the logs of one run, named by time so that they sort.

    The last `KEPT_RUNS` stay. The path is short enough for a UNIX socket (108
    bytes) unless the state directory is deep; `machine` handles that case.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = runs_dir() / f"{stamp}-{kind}-{secrets.token_hex(3)}"
    path.mkdir(parents=True)
    prune(path.parent, KEPT_RUNS)
    return path
