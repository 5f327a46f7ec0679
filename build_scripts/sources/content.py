# SPDX-License-Identifier: BSD-2-Clause-Patent
"""One digest of all that a source tree holds, so that any change of it is seen.

Like git, it keeps an index of what it has hashed: a file whose size, times and
inode are as before is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from build_scripts import cache, paths

# Of no build's concern, wherever they are: history, Python's byte code, our stamp, the lock that meson leaves behind.
SKIPPED = frozenset({".git", "__pycache__", "stmlab-stamp.json", ".wraplock"})


def _walk(
    folder: Path, relative: str, skip: frozenset[str], above: frozenset[Path]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Names and entries of all that is no folder, in order; a link to a folder outside the tree is gone into."""
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda found: found.name)
    for found in entries:
        name = f"{relative}{found.name}"
        if found.name in SKIPPED or name in skip:
            continue
        if found.is_dir(follow_symlinks=False):
            yield from _walk(Path(found.path), f"{name}/", skip, above)
            continue
        yield name, found
        if found.is_symlink() and found.is_dir():
            target = Path(found.path).resolve()
            # What lies in the tree is seen where it lies; a link upwards would never end.
            if not any(target.is_relative_to(top) or top.is_relative_to(target) for top in above):
                yield from _walk(target, f"{name}/", skip, above | {target})


def _index(root: Path) -> Path:
    folder = paths.cache_dir() / "indexes"
    folder.mkdir(exist_ok=True)
    return folder / f"{cache.identity_of(str(root))}.json"


def _known(index: Path) -> dict[str, list[object]]:
    try:
        known = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {name: facts for name, facts in known.items() if isinstance(facts, list) and facts}


def tree_digest(root: Path, skip: frozenset[str] = frozenset()) -> str:
    """The digest of names, contents, programs and links below `root`.

    Args:
        skip: relative names to leave out, such as a folder of build results.
    """
    root = root.resolve()
    index = _index(root)
    before = _known(index)
    now: dict[str, list[object]] = {}
    total = hashlib.sha256()
    for name, found in _walk(root, "", skip, frozenset({root})):
        if found.is_symlink():
            total.update(f"{name}\0link {Path(found.path).readlink()}\0".encode(errors="surrogateescape"))
        if not found.is_file():
            continue
        status = found.stat()
        facts = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        old = before.get(name)
        sha256 = str(old[-1]) if old is not None and old[:-1] == facts else paths.sha256_file(Path(found.path))
        now[name] = [*facts, sha256]
        total.update(f"{name}\0{sha256}\0{status.st_mode & 0o100:o}\0".encode(errors="surrogateescape"))
    if now != before:
        staging = index.with_name(f".{index.name}.{os.getpid()}")
        staging.write_text(json.dumps(now), encoding="utf-8")
        staging.replace(index)
    return total.hexdigest()
