# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Newer sources than the pinned ones: what the distribution's newest index offers, or a tree that the user names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.progress import Step, run_logged
from build_scripts.sources.distribution import SourceClient, SourceFile
from build_scripts.sources.sources import PINS

SUITE = "sid"
_VERSION = re.compile(r"_(\d+(?:\.\d+)*)")
_MONTH = re.compile(r"stable(\d{4})(\d{2})$")  # edk2-stable202502


class NewerClient(SourceClient):
    """The newest index, apart from that of the pinned sources."""

    _name = "apt-newer"


@dataclass(frozen=True)
class Offer:
    """A source that can be had.

    Attributes:
        version: such as ``10.2.2``.
        file: its tarball in the index.
    """

    version: str
    file: SourceFile


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def pinned_version(name: str) -> str:
    """The version that the lab builds: of edk2 in the form of its releases' tarballs."""
    version: str = PINS[name]["version"]
    month = _MONTH.search(version)
    return f"{month[1]}.{month[2]}" if month is not None else version


def choose(name: str, offers: list[SourceFile]) -> list[list[Offer]]:
    """The tarballs of each series that is newer than the pin, the newest first, the oldest series first.

    A series is what QEMU's first two numbers say, 10.2 for instance; a release of edk2 is one by itself.
    """
    pinned = _numbers(pinned_version(name))
    found: dict[tuple[int, ...], list[Offer]] = {}
    for file in offers:
        version = _VERSION.search(file.name)
        if version is not None and (series := _numbers(version[1])[:2]) > pinned[:2]:
            found.setdefault(series, []).append(Offer(version[1], file))
    for versions in found.values():
        versions.sort(key=lambda one: _numbers(one.version), reverse=True)
    return [found[series] for series in sorted(found)]


def offered(name: str, log: Path, shown: Step) -> list[list[Offer]]:
    """What the distribution's newest index has, as `choose` puts it.

    Args:
        name: ``edk2`` or ``qemu``, its source package.
        log: of the package client.
        shown: the step that is under way.

    Raises:
        LabError: there is no index.
    """
    client = NewerClient(log)
    client.refresh([SUITE], shown)
    return choose(name, client.offers(name))


def unpacked(offer: Offer, folder: Path, log: Path, shown: Step) -> Path:
    """Download a source, if the cache has none, and unpack it.

    Args:
        offer: which.
        folder: where to.
        log: of the package client.
        shown: the step that is under way.

    Raises:
        LabError: it could not be had.
    """
    downloads = paths.cache_dir() / "downloads"
    downloads.mkdir(exist_ok=True)
    kept = downloads / offer.file.name
    if not (kept.is_file() and paths.sha256_file(kept) == offer.file.sha256):
        kept = NewerClient(log).download(offer.file, downloads, shown)
    command = ["tar", "--extract", "--file", str(kept), "--directory", str(folder), "--strip-components=1"]
    run_logged([*command, "--no-same-owner"], log, shown, f"unpacking {kept.name}")
    return folder


def version_of(name: str, tree: Path) -> str:
    """The version of a tree that the user named.

    Raises:
        LabError: it is no such tree.
    """
    mark = {"qemu": "VERSION", "edk2": "MdePkg/MdePkg.dec"}[name]
    if not (tree / mark).is_file():
        raise LabError(
            f"{tree} is no tree of {name}: it has no {mark}",
            ExitCode.USAGE,
            remedy=f"name the top folder of a source tree of {name}",
        )
    return (tree / mark).read_text(encoding="utf-8").strip() if name == "qemu" else tree.name
