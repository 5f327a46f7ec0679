# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What is drawn of one boot."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.processors import Configuration
from build_scripts.observation.boots import has_records
from build_scripts.observation.events import RecordError, Stream, read_stream
from build_scripts.observation.report import Report, build_report
from build_scripts.pictures.places import Places, read_places


@dataclass(frozen=True)
class Boot:
    """One boot of a run.

    Attributes:
        name: of its directory.
        report: of `stream`.
        stream: what it recorded.
        places: where in memory everything was, or None if there was no MSEG, or nobody can tell.
    """

    name: str
    report: Report
    stream: Stream
    places: Places | None = None


def _configuration(run_dir: Path) -> Configuration:
    """Of which processor the run was, as its directory's name says; the lab's own otherwise."""
    found = [kind for kind in Configuration if f"-{kind.value}-" in run_dir.name]
    return max(found, key=lambda kind: len(kind.value), default=Configuration.DUAL_MONITOR)


def _read(folder: Path) -> Boot:
    stream = read_stream(folder)
    if not has_records(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    report = build_report(stream, _configuration(folder))
    return Boot(folder.name, report, stream, read_places(folder, report, stream))


@contextmanager
def clear_errors(run_dir: Path) -> Iterator[None]:
    """Make one clear error of what is wrong with a run's files.

    Raises:
        LabError: a record lacks what it must have, or somebody has removed the files meanwhile.
    """
    try:
        yield
    except RecordError as bad:
        raise LabError(f"unreadable record: {bad}", ExitCode.EXPECTATION_FAILED, log=run_dir) from bad
    except OSError as bad:
        raise LabError(
            f"the run's logs cannot be read ({bad.strerror}): {bad.filename}",
            ExitCode.USAGE,
            remedy=f"the last {paths.KEPT_RUNS} runs are kept; carry it out again",
        ) from bad


def read_boots(folders: Iterable[Path]) -> list[Boot]:
    """What the boots with these run directories have left.

    Raises:
        LabError: as `clear_errors` does.
    """
    found = []
    for folder in folders:
        with clear_errors(folder):
            found.append(_read(folder))
    return found
