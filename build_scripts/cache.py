# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Finished results below the cache: found by key, checked by hash, made once under a lock, published whole.

Each entry holds a manifest with size, SHA-256 and mode of its files. An entry
that does not fit its manifest is made anew: a disk that was full or a hand
that slipped must not decide what the lab runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from build_scripts import paths
from build_scripts.errors import LabError
from build_scripts.progress import say

MANIFEST = "manifest.json"

Found = TypeVar("Found")


def _facts(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    return {"size": size, "sha256": paths.sha256_file(path), "program": os.access(path, os.X_OK)}


def seal(folder: Path) -> None:
    """Write the manifest of a finished folder."""
    files = {str(path.relative_to(folder)): _facts(path) for path in paths.files_below(folder)}
    (folder / MANIFEST).write_text(json.dumps(files, indent=1, sort_keys=True) + "\n", encoding="ascii")


def damage(entry: Path) -> str:
    """What an entry lacks of what its manifest says; empty if it is sound."""
    try:
        files: dict[str, dict[str, Any]] = json.loads((entry / MANIFEST).read_text(encoding="ascii"))
        for name, wanted in files.items():
            path = entry / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != wanted["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {wanted['size']}"
            if wanted["program"] and not os.access(path, os.X_OK):
                return f"{name} is not executable"
            if paths.sha256_file(path) != wanted["sha256"]:
                return f"{name} was changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"the manifest cannot be read ({error})"
    return ""


def discard(entry: Path) -> None:
    """Take an entry out of the way at once, then remove it."""
    aside = entry.with_name(f".{entry.name}.{secrets.token_hex(4)}.damaged")
    entry.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def ensure(find: Callable[[], Found | None], make: Callable[[], Found], lock: str | None) -> Found:
    """What `find` gives; if that is nothing, what `make` makes, with the lock held and after a second look.

    Args:
        lock: its name; without one two makers may work at once, and the first to publish wins.
    """
    if (found := find()) is not None:
        return found
    with paths.locked(lock, say) if lock is not None else nullcontext():
        if (found := find()) is not None:
            return found
        return make()


def entry(store: str, key: str) -> Path:
    """Where the entry of a key is, or will be."""
    return paths.cache_dir() / "finished" / store / key


def existing(store: str, key: str) -> Path | None:
    """The sound entry of a key in one's own cache or in the shared one, if there is one."""
    for base in paths.caches():
        found = base / "finished" / store / key
        if found.is_dir() and not damage(found):
            touch(found)
            return found
    return None


def touch(entry: Path) -> None:
    """Note that an entry was used, since the last used ones are kept; a shared cache keeps its entries anyway."""
    with suppress(OSError):
        os.utime(entry)


def _own_copy(log: Path | None, store: str) -> Path | None:
    """A copy of a failed build's log, which the next build in the same tree writes anew."""
    if log is None or not log.is_file() or not log.is_relative_to(paths.cache_dir()):
        return log
    return Path(shutil.copy2(log, paths.new_run_dir(store)))


def obtain(
    store: str,
    key: Callable[[], str],
    make: Callable[[Path], None],
    what: str,
    lock: str | None = None,
    keep: int = paths.KEPT_RESULTS,
    brought: Callable[[], Iterable[str]] = tuple,
) -> Path:
    """The folder of a finished result, made if there is none or if it is damaged.

    Args:
        store: folder of the cache for results of this kind.
        key: the key of what the inputs are now; asked again after the making.
        make: fills a folder that becomes the entry.
        what: it is, for messages.
        lock: as for `ensure`.
        keep: how many of the last used entries stay.
        brought: further keys, under which a bundle may have brought the same result, made by another compiler.
    Raises:
        LabError: an input changed meanwhile, or `make` failed.
    """

    def find() -> Path | None:
        for other in brought():
            if (found := existing(store, other)) is not None:
                return found
        return existing(store, key())

    def publish() -> Path:
        wanted = key()
        target = entry(store, wanted)
        if target.is_dir():
            say(f"{what} in the cache is damaged ({damage(target)}) and is built again: {target}")
            discard(target)
        with paths.published(target) as staging:
            try:
                make(staging)
            except LabError as error:
                error.log = _own_copy(error.log, store)
                raise
            if key() != wanted:
                raise LabError(f"a source of {what} changed during its build", remedy="run it again")
            seal(staging)
        paths.prune(target.parent, keep)
        return target

    return ensure(find, publish, lock)


def identity_of(text: str) -> str:
    """A short name for a longer one, for folders and locks."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
