# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Reads the logs of a run while it runs, for people who watch it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from build_scripts.observation.events import (
    MACHINE_LOG,
    RECORD_LOGS,
    Record,
    RecordError,
    Transition,
    parse_record_of,
    parse_trace_line,
)
from build_scripts.observation.report import Smi, SmiGrouper


class Follower:
    """Tells of each new record in the logs of a run directory, and of each SMI that has come to its end.

    What breaks the grammar is passed over: the reading after the end finds it and names it.
    """

    def __init__(
        self, run_dir: Path, tell: Callable[[Record], None], tell_smi: Callable[[Smi], None] | None = None
    ) -> None:
        names = (*RECORD_LOGS, *((MACHINE_LOG,) if tell_smi is not None else ()))
        self._logs = {run_dir / name: 0 for name in names}
        self._tell = tell
        self._tell_smi = tell_smi
        self._grouper = SmiGrouper()

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
                    self._take(path.name, line)
                except RecordError:
                    continue

    def _take(self, log: str, line: str) -> None:
        if log != MACHINE_LOG:
            self._tell(parse_record_of(line, log))
            return
        event = parse_trace_line(line, log)
        if isinstance(event, Transition) and self._tell_smi is not None:
            for smi in self._grouper.take(event):
                self._tell_smi(smi)
