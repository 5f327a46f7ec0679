# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Experiments carried out by the command, each once a session, for every test and page of docs that wants to see one.

The screen is that of a terminal of 80 columns that can do nothing (`screens`).
An experiment boots for up to a minute. What one process of the session has carried out, the others read.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.experiments.catalogue import EXPERIMENTS
from build_scripts.experiments.experiment import DEFAULT_EXPERIMENT
from build_scripts.observation.events import Stream, read_stream
from tests.support.newcomer import environment
from tests.support.screens import PLAIN

# Longer than any experiment's own limits together, on a busy host.
TIMEOUT_SECONDS = 3600
_COMMAND = re.compile(r"python3 -m build_scripts run ([a-z-]+(?: --processors \d+| [a-z-]+)?)")
# The demonstration, which needs no name, and with what it is carried out.
DEMONSTRATION = "python3 -m build_scripts run"
_DEMONSTRATION_WITH = re.compile(rf"{DEMONSTRATION}(?: -v| --trace \S+)?")
# What is told of a run and written, beside its JSON.
TRACE = "run.pftrace"
_LOOKED_AT: dict[tuple[str, ...], tuple[str, ...]] = {(): ("-v", "--trace", TRACE), ("standby",): ("--trace", TRACE)}


@dataclass(frozen=True)
class Carried:
    """One experiment carried out.

    Attributes:
        folder: with a copy of the logs of each boot, in order.
        document: its JSON; None if there is none.
    """

    status: int
    output: str
    errors: str
    document: Any
    folder: Path

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """What each boot recorded."""
        return tuple(read_stream(path) for path in self.boots)

    @property
    def boots(self) -> list[Path]:
        """The folders with the logs of each boot, in order."""
        return sorted(self.folder.glob("boot-*"))

    @property
    def trace(self) -> bytes:
        """What ``--trace`` has written, of a run that has it."""
        return (self.folder / TRACE).read_bytes()


def experiment_of(command: str) -> tuple[str, ...] | None:
    """The arguments behind ``run`` of a documented command that does nothing but carry out an experiment.

    None for others. The first page that shows the demonstration runs it as a newcomer does. ``-v`` and ``--trace`` are
    among what the session's demonstration is carried out with.
    """
    if _DEMONSTRATION_WITH.fullmatch(command):
        return ()
    found = _COMMAND.fullmatch(command)
    if found is None:
        return None
    arguments = tuple(found[1].split())
    names = {experiment.name for experiment in EXPERIMENTS} - {DEFAULT_EXPERIMENT}
    return arguments if arguments[0] in names else None


def carry_out(arguments: Sequence[str], session: Path) -> Carried:
    """Carry out an experiment, or read what this session has.

    Args:
        arguments: what comes behind ``run``.
        session: the folder of the session, the same in each of its processes.
    """
    folder = session / "carried" / (" ".join(arguments) or DEFAULT_EXPERIMENT).replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / "kept.json"
        if not kept.is_file():
            kept.write_text(json.dumps(_run(arguments, folder)))
        found = json.loads(kept.read_text())
    return Carried(found["status"], found["output"], found["errors"], found["document"], folder)


def _run(arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    facts = folder / "facts.json"
    looks = [str(folder / word) if word == TRACE else word for word in _LOOKED_AT.get(tuple(arguments), ())]
    result = subprocess.run(
        ["python3", "-m", "build_scripts", "run", *arguments, *looks, "--json", str(facts)],
        cwd=paths.CHECKOUT,
        env=environment() | PLAIN,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    # The lab keeps the logs of so many runs only.
    for number, run_dir in enumerate(re.findall(r"^logs: (.+)$", result.stdout, re.MULTILINE)):
        shutil.copytree(run_dir, folder / f"boot-{number:02}", ignore=lambda run, names: _no_files(Path(run), names))
    return {
        "status": result.returncode,
        "output": result.stdout,
        "errors": result.stderr,
        "document": json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else None,
    }


def _no_files(run: Path, names: list[str]) -> list[str]:
    """Sockets, which cannot be copied."""
    return [name for name in names if not (run / name).is_file()]
