# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The pinned external sources: found, verified, unpacked once.

Accepted names, versions, origins and checksums are in ``sources.json``. The
order: a path that the user gives (checked, never written), the cache, the
upstream project, the distribution's source package.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from build_scripts import cache, paths
from build_scripts.bundles import record
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step, run_logged, say, step
from build_scripts.sources.content import tree_digest
from build_scripts.sources.distribution import SourceClient, SourceFile

PINS: dict[str, Any] = json.loads((Path(__file__).parent / "sources.json").read_text(encoding="utf-8"))
STAMP = "stmlab-stamp.json"
BROTLI_LINK = Path("BaseTools/Source/C/BrotliCompress/brotli")
BROTLI_TREE = Path("MdeModulePkg/Library/BrotliCustomDecompressLib/brotli")
BASETOOLS = Path("BaseTools/Source/C")
# What somebody's own tree may hold beside the source: results of builds in it.
BUILD_FOLDERS = {"edk2": frozenset({"Build", "Conf"}), "qemu": frozenset({"build"})}
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Tree:
    """An unpacked source tree.

    Attributes:
        path: its root; not to be written.
        version: of the source, such as ``10.0.13``.
        origin: where it came from, for people.
        identity: changes with the content; part of every key of what is built from it.
        content: digest of a fetched tree when it was published; empty for a tree of the user's.
        own: it is the user's and may change.
    """

    path: Path
    version: str
    origin: str
    identity: str
    content: str = ""
    own: bool = False


def check_user_tree(name: str, tree: Path) -> None:
    """Check a tree that the user gave against the pin's file hashes.

    Raises:
        LabError: it is another version or was changed.
    """
    pin = PINS[name]
    for relative, expected in pin["files"].items():
        path = tree / relative
        if not path.is_file() or paths.sha256_file(path) != expected:
            raise LabError(
                f"{pin['variable']}={tree} is not {name} {pin['version']}: {relative} differs",
                ExitCode.USAGE,
                remedy=f"give a tree of that version, or unset {pin['variable']}",
            )


def _user_tree(name: str) -> Tree | None:
    pin = PINS[name]
    given = os.environ.get(pin["variable"])
    if not given:
        return None
    tree = Path(given).resolve()
    check_user_tree(name, tree)
    # The hashes of a few files show the version. What is built depends on all of them, so the key does, and what is
    # built from somebody's own tree is never taken for what the pinned source gives.
    identity = f"{name}-{pin['version']}-own-{tree_digest(tree, BUILD_FOLDERS[name])}"
    return Tree(tree, pin["version"], f"{pin['variable']}={tree}", identity, own=True)


def _cached(name: str) -> Tree | None:
    """A tree that was fetched for this pin; the pinned version before a later point release."""
    found = []
    pinned = PINS[name]["version"]
    for stamp in (path for base in paths.caches() for path in base.glob(f"{name}-*/{STAMP}")):
        if (facts := _stamp(stamp)) is not None and facts["pin"] == pinned:
            found.append(
                Tree(stamp.parent, facts["version"], facts["origin"], facts["identity"], facts.get("content", ""))
            )
    found.sort(key=lambda tree: (tree.version != pinned, tree.path))
    return found[0] if found else None


def _stamp(stamp: Path) -> dict[str, str] | None:
    """The facts of a fetched tree; None if the stamp cannot be read, and the tree is as good as none."""
    try:
        facts = json.loads(stamp.read_text(encoding="utf-8"))
        return {key: facts[key] for key in ("pin", "version", "origin", "identity")} | {
            "content": facts.get("content", "")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _unpack(tarball: Path, folder: Path, log: Path, shown: Step) -> None:
    command = ["tar", "--extract", "--file", str(tarball), "--directory", str(folder)]
    run_logged([*command, "--strip-components=1", "--no-same-owner"], log, shown, f"unpacking {tarball.name}")


def _finish_edk2(tree: Path, log: Path, shown: Step) -> list[str]:
    """Compile the BaseTools; returns what was added to the tree."""
    added = []
    link = tree / BROTLI_LINK
    if not (link / "c").exists():
        # The distribution's tarball lacks this submodule; the other copy of it is complete.
        if link.is_dir():
            link.rmdir()
        link.symlink_to(os.path.relpath(tree / BROTLI_TREE, link.parent))
        added.append(str(BROTLI_LINK))
    command = ["make", "-C", str(tree / BASETOOLS), f"-j{os.cpu_count() or 1}"]
    run_logged(command, log, shown, "building the BaseTools of edk2")
    return [*added, str(BASETOOLS / "bin")]


_FINISH: dict[str, Callable[[Path, Path, Step], list[str]]] = {"edk2": _finish_edk2}


def _publish(name: str, facts: dict[str, str], fill: Callable[[Path], None], log: Path, shown: Step) -> Tree:
    """Unpack with `fill`, add what is ours, stamp, and publish in one step."""
    target = paths.cache_dir() / f"{name}-{cache.identity_of(facts['identity'])}"
    if target.exists():
        say(f"{name} in the cache is damaged and made anew: {target}")
        cache.discard(target)
    with paths.published(target) as staging:
        fill(staging)
        finish = _FINISH.get(name)
        added = finish(staging, log, shown) if finish else []
        digest = tree_digest(staging)
        stamp = {**facts, "pin": PINS[name]["version"], "added": added, "content": digest}
        (staging / STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    return Tree(target, facts["version"], facts["origin"], facts["identity"], digest)


def _reachable(url: str) -> bool:
    """Whether the upstream host answers at all, so that its absence costs seconds and not minutes."""
    if os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"):
        return True
    try:
        with socket.create_connection((urlsplit(url).hostname, 443), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _from_git(name: str, origin: dict[str, Any], log: Path, shown: Step) -> Tree:
    """The upstream tag; git itself verifies the content against the pinned commit."""
    if not _reachable(origin["url"]):
        raise LabError(f"{urlsplit(origin['url']).hostname} could not be reached")
    environment = {"GIT_TERMINAL_PROMPT": "0"}

    def fill(folder: Path) -> None:
        clone = ["git", "clone", "--quiet", "--depth=1", "--branch", origin["tag"], origin["url"], str(folder)]
        run_logged(clone, log, shown, f"fetching {origin['tag']}", environment=environment)
        head = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        if head.stdout.strip() != origin["commit"]:
            raise LabError(f"tag {origin['tag']} is commit {head.stdout.strip()}, not {origin['commit']}", log=log)
        update = ["git", "-C", str(folder), "submodule", "update", "--quiet", "--init", "--depth=1", "--"]
        run_logged([*update, *origin["submodules"]], log, shown, "fetching submodules", environment=environment)

    facts = {"version": PINS[name]["version"], "origin": origin["url"], "identity": f"{name}-{PINS[name]['version']}"}
    return _publish(name, facts, fill, log, shown)


def choose_offer(origin: dict[str, Any], offers: list[SourceFile]) -> SourceFile | None:
    """The pinned tarball if the index has it, else the newest of the accepted series."""
    pinned = [offer for offer in offers if offer.name == origin["file"] and offer.sha256 == origin["sha256"]]
    if pinned:
        return pinned[0]
    series = origin.get("series")
    others = [offer for offer in offers if series and re.fullmatch(series, offer.name)]
    others.sort(key=lambda offer: [int(part) for part in re.findall(r"\d+", offer.name)])
    return others[-1] if others else None


def _from_distribution(name: str, origin: dict[str, Any], log: Path, shown: Step) -> Tree:
    downloads = paths.cache_dir() / "downloads"
    downloads.mkdir(exist_ok=True)
    kept = downloads / origin["file"]
    version, sha256, label = PINS[name]["version"], origin["sha256"], f"{origin['package']} source package"
    if not (kept.is_file() and paths.sha256_file(kept) == sha256):
        client = SourceClient(log)
        client.refresh(origin["suites"], shown)
        offer = choose_offer(origin, client.offers(origin["package"]))
        if offer is None:
            raise LabError(f"the distribution's index has no accepted tarball of {name}", log=log)
        if offer.sha256 != sha256:
            found = re.search(r"_([0-9.]+)", offer.name)
            version, sha256 = (found[1].rstrip(".") if found else offer.version), offer.sha256
            say(f"warning: the mirror has {name} {version} instead of {PINS[name]['version']}; trying it")
        kept = client.download(offer, downloads, shown)
    facts = {"version": version, "origin": label, "identity": f"{name}-{version}-{sha256[:12]}"}
    if sha256 == origin["sha256"]:
        facts["identity"] = f"{name}-{version}"
    return _publish(name, facts, lambda folder: _unpack(kept, folder, log, shown), log, shown)


_FETCH: dict[str, Callable[[str, dict[str, Any], Path, Step], Tree]] = {
    "git": _from_git,
    "distribution": _from_distribution,
}


def locate(name: str) -> Tree:
    """The tree of a pinned source, fetched if it has to be.

    Args:
        name: ``edk2`` or ``qemu``.
    Raises:
        LabError: no origin works; the message says why for each.
    """
    if (tree := _user_tree(name)) is not None:
        return tree
    return cache.ensure(lambda: _cached(name), lambda: _fetched(name), f"source-{name}")


def known(name: str) -> Tree | None:
    """What a key needs of a source, without fetching it: of one that a bundle only tells of there need be no tree.

    Raises:
        LabError: the tree that the user gave is another version.
    """
    if (tree := _user_tree(name) or _cached(name)) is not None:
        return tree
    if (facts := record.source(name)) is not None and facts["pin"] == PINS[name]["version"]:
        return Tree(paths.cache_dir() / f"{name}-of-the-bundle", facts["version"], facts["origin"], facts["identity"])
    return None


def identify(name: str) -> Tree:
    """As `known`, and fetched where it is not.

    Raises:
        LabError: no origin works.
    """
    return known(name) or locate(name)


def _fetched(name: str) -> Tree:
    log = paths.cache_dir() / f"source-{name}.log"
    log.unlink(missing_ok=True)
    refusals = []
    with step(f"getting {name} {PINS[name]['version']}") as shown:
        for origin in PINS[name]["origins"]:
            try:
                return _FETCH[origin["kind"]](name, origin, log, shown)
            except LabError as error:
                refusals.append(f"{origin['kind']}: {error.message}")
    variable = PINS[name]["variable"]
    raise LabError(
        f"{name} {PINS[name]['version']} could not be obtained:\n" + "\n".join(refusals),
        remedy=f"check the network, or set {variable} to a tree of that version",
        log=log,
    )


def sound(name: str) -> Tree:
    """As `locate`, for a build: a fetched tree that is no longer what was fetched is fetched anew.

    Raises:
        LabError: no origin works.
    """
    tree = locate(name)
    if tree.content and tree_digest(tree.path) != tree.content:
        with paths.locked(f"source-{name}", say):
            if (tree.path / STAMP).is_file() and tree_digest(tree.path) != tree.content:
                say(f"{name} in the cache was changed and is fetched anew: {tree.path}")
                cache.discard(tree.path)
        tree = locate(name)
    return tree


def edk2_dir() -> Path:
    """The edk2 tree with compiled BaseTools, as PlatformBuild needs it.

    Raises:
        LabError: it could not be obtained, or the user's tree has no compiled BaseTools.
    """
    tree = locate("edk2").path
    if not (tree / BASETOOLS / "bin" / "GenFw").is_file():
        raise LabError(
            f"the BaseTools of {tree} are not compiled",
            ExitCode.USAGE,
            remedy=f"make -C {tree / BASETOOLS}, or unset EDK2_DIR",
        )
    return tree
