# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reads the records of a run while it runs, for people who watch it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from build_scripts.observation.events import RECORD_LOGS, Record, RecordError, parse_record_of


class Follower:
    """Tells of each new record in the logs of a run directory.

    What breaks the grammar is passed over: the reading after the end finds it and names it.
    """

    def __init__(self, run_dir: Path, tell: Callable[[Record], None]) -> None:
        self._logs = {run_dir / name: 0 for name in RECORD_LOGS}
        self._tell = tell

    def poll(self) -> None:
        """Tell of what has been written since the last call; half a line waits for its end."""
        for path, place in self._logs.items():
            if not path.is_file() or path.stat().st_size == place:
                continue
            with path.open("rb") as log:
                log.seek(place)
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._logs[path] = place + len(whole)
            for line in whole.decode("utf-8", "backslashreplace").splitlines():
                try:
                    self._tell(parse_record_of(line, path.name))
                except RecordError:
                    continue
