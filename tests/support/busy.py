# SPDX-License-Identifier: BSD-2-Clause-Patent
"""A busy host on purpose, where what depends on time shows itself: pytest's option ``--busy-loops``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from build_scripts.processes import ends_with_parent


@contextmanager
def busy_host(loops: int) -> Iterator[list[int]]:
    """Keep so many processes computing for as long as the block lasts; yields their process ids."""
    with ExitStack() as stack:
        started = []
        for _ in range(loops):
            process = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"], preexec_fn=ends_with_parent())
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process.pid)
        yield started


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option for a busy host."""
    words = "keep so many processes computing beside the tests: what depends on time fails then"
    parser.addoption("--busy-loops", type=_count, default=0, metavar="N", help=words)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """Keeps the host busy, once for all workers."""
    worker = hasattr(session.config, "workerinput")
    with busy_host(0 if worker else session.config.option.busy_loops):
        return (yield)
