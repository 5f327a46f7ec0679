# SPDX-License-Identifier: BSD-2-Clause-Patent
"""``test --busy-loops N``: there are so many while the tests run, and none afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.busy import busy_host

SECONDS = 60.0
# A process that has just been started has no command line for a moment.
INNER = """
    import os, time
    from pathlib import Path

    def loops():
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        return [pid for pid in children if b"while True" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def test_here(request):
        assert request.config.option.busy_loops == 3
        limit = time.monotonic() + 60
        while len(loops()) < 3 and time.monotonic() < limit:
            time.sleep(0.02)
        assert len(loops()) == 3
"""


def computed(pid: int) -> int:
    """Clock ticks that a process has had."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def test_loops_compute_and_end() -> None:
    with busy_host(2) as loops:
        assert len(set(loops)) == 2
        limit = time.monotonic() + SECONDS
        while not all(computed(pid) > 0 for pid in loops):
            assert time.monotonic() < limit, "a loop that does not compute keeps nothing busy"
            time.sleep(0.02)
    assert [pid for pid in loops if Path(f"/proc/{pid}").exists()] == []


def test_option_keeps_the_host_busy(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text("\n".join(line[4:] for line in INNER.splitlines()))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.busy", "-p", "no:cacheprovider"]
    command += ["--busy-loops", "3", "--rootdir", str(tmp_path), str(tmp_path / "test_inner.py")]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    result = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("words", [["--busy-loops", "-1"], ["--busy-loops", "many"]])
def test_bad_number_is_refused(checkout: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", *words, "tests/unit/test_busy.py"]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert result.returncode == 4 and "--busy-loops" in result.stderr and "Traceback" not in result.stderr
