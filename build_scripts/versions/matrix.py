# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The matrix of versions: which QEMU takes the machine's patches, which edk2 has what the firmware names."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.builds.qemu_build import patches
from build_scripts.errors import LabError
from build_scripts.progress import Step, step
from build_scripts.sources import sources
from build_scripts.versions import firmware_needs, newer
from build_scripts.versions.series import Fit, PatchResult, try_series


class Status(StrEnum):
    """What became of a version."""

    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"  # it was not tried: the reason says why


@dataclass(frozen=True)
class Row:
    """One version of one source.

    Attributes:
        name: ``qemu`` or ``edk2``.
        version: as its tree says; ``newer`` if none could be had.
        pinned: whether it is what the lab builds.
        status: what became of it.
        reason: why it was refused, or what is wrong in a few words; empty if nothing is.
        patches: of QEMU, each patch.
        missing: of edk2, what our descriptions and headers name and it does not have.
    """

    name: str
    version: str
    pinned: bool
    status: Status
    reason: str = ""
    patches: tuple[PatchResult, ...] = ()
    missing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The shape of the schema."""
        return {
            "name": self.name,
            "version": self.version,
            "pinned": self.pinned,
            "status": self.status.value,
            "reason": self.reason,
            "patches": [
                {"name": one.name, "fit": one.fit.value, "complaints": list(one.complaints)} for one in self.patches
            ],
            "missing": list(self.missing),
        }


def try_qemu(version: str, tree: Path, pinned: bool) -> Row:
    """Apply the machine's patches to a QEMU."""
    results = tuple(try_series(tree, patches()))
    bad = [one for one in results if not one.passed]
    failed = sum(one.fit is Fit.FAILED for one in bad)
    reason = f"{failed} of {len(results)} patches fail, {len(bad) - failed} with fuzz" if bad else ""
    return Row("qemu", version, pinned, Status.FAILED if bad else Status.PASSED, reason, results)


def try_edk2(version: str, tree: Path, pinned: bool) -> Row:
    """Look for everything in an edk2 that our platform and package name."""
    lacks = tuple(firmware_needs.missing(paths.CHECKOUT, tree))
    reason = f"{len(lacks)} files are not there" if lacks else ""
    return Row("edk2", version, pinned, Status.FAILED if lacks else Status.PASSED, reason, missing=lacks)


_TRY: dict[str, Callable[[str, Path, bool], Row]] = {"qemu": try_qemu, "edk2": try_edk2}


def _newer(name: str, log: Path, shown: Step) -> list[Row]:
    try:
        series = newer.offered(name, log, shown)
    except LabError as error:
        return [Row(name, "newer", False, Status.REFUSED, f"no newer source can be had: {_line(error)}")]
    if not series:
        return [Row(name, "newer", False, Status.REFUSED, "the distribution's newest index has no newer one")]
    return [_first_that_can_be_had(name, offers, log, shown) for offers in series]


def _line(error: LabError) -> str:
    return error.message.splitlines()[0].rstrip(":")


def _first_that_can_be_had(name: str, offers: list[newer.Offer], log: Path, shown: Step) -> Row:
    """Of one series: an index may be newer than what its mirror holds."""
    refusals = []
    for offer in offers:
        shown.line(f"{name} {offer.version}")
        with tempfile.TemporaryDirectory(prefix="stmlab-matrix-") as folder:
            try:
                tree = newer.unpacked(offer, Path(folder), log, shown)
            except LabError as error:
                refusals.append(f"{offer.version}: {_line(error)}")
                continue
            return _TRY[name](offer.version, tree, False)
    return Row(name, offers[0].version, False, Status.REFUSED, "; ".join(refusals))


def matrix(trees: dict[str, list[Path]]) -> list[Row]:
    """Try the pinned sources, then the user's trees, or else what the distribution's newest index offers.

    Args:
        trees: of the user's, name of the source to directories.

    Raises:
        LabError: a pinned source could not be had, or a tree of the user's is none.
    """
    # A wrong path is told at once, before anything is fetched.
    named = {name: [(newer.version_of(name, tree), tree) for tree in trees.get(name, [])] for name in _TRY}
    log = paths.cache_dir() / "matrix.log"
    log.unlink(missing_ok=True)
    rows = []
    for name, attempt in _TRY.items():
        pinned = sources.locate(name)
        with step(f"trying versions of {name}") as shown:
            rows.append(attempt(pinned.version, pinned.path, True))
            if named[name]:
                rows += [attempt(version, tree, False) for version, tree in named[name]]
            else:
                rows += _newer(name, log, shown)
    return rows
