# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Runs pytest again and again in forks of one process, which has imported what every run imports.

Run as a script in the tree under test. Each line of standard input is a JSON
object: ``arguments`` for pytest, ``environment`` with further variables, ``log``
for what it prints; the answer is a line with its exit status. Nothing of the tree itself is imported before the
fork, so that every run sees the tree as it is.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

# Third-party modules of the lab and of its tests, for the forks.
import hypothesis.strategies  # noqa: F401
import jsonschema  # noqa: F401
import pytest
import rich.console
import rich.progress
import rich.table  # noqa: F401


def run(arguments: list[str], environment: dict[str, str], log: str) -> int:
    """One run of pytest; its exit status."""
    child = os.fork()
    if child == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.environ.update(environment)
        os._exit(int(pytest.main(arguments)))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def serve() -> None:
    """Answer requests until standard input ends."""
    # As "python -m pytest" does, in place of this script's folder.
    sys.path[0] = str(Path.cwd())
    for line in sys.stdin:
        request = json.loads(line)
        print(run(request["arguments"], request["environment"], request["log"]), flush=True)


if __name__ == "__main__":
    serve()
