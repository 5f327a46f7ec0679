# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What goes wrong gives one clear error, the documented exit code, and the path of the log."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode
from build_scripts.experiments import document
from tests.support.newcomer import environment

from .conftest import BUILD_TIMEOUT_SECONDS

# How long a guest may take before it counts as hung. The first is enough on an idle host; a busy one needs longer to
# come to the command that hangs.
HUNG_AFTER_SECONDS = (12, 40, 120, 400)


def run_command(arguments: list[str], checkout: Path = paths.CHECKOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["python3", "-m", "build_scripts", *arguments],
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_SECONDS,
        check=False,
    )


def log_of(result: subprocess.CompletedProcess[str]) -> Path:
    found = re.search(r"^log: (.+)$", result.stderr, re.MULTILINE)
    assert found is not None, result.stderr
    return Path(found[1])


def test_hung_guest(tmp_path: Path) -> None:
    """A command that waits for more than an hour of the guest's time."""
    script = tmp_path / "script"
    script.write_text("ver\nstall 4000000000\n")
    facts = tmp_path / "facts.json"
    command = ["run", "--qemu", "stock", "--script", str(script), "--json", str(facts)]
    for seconds in HUNG_AFTER_SECONDS:
        result = run_command([*command, "--timeout", str(seconds)])
        assert result.returncode == ExitCode.GUEST_HUNG
        assert "the guest hung" in result.stderr
        if "'stall 4000000000'" in result.stderr:
            break
    assert "the guest hung after 'stall 4000000000'" in result.stderr
    assert (log_of(result) / "firmware.log").is_file()
    assert f'"exit_status": {int(ExitCode.GUEST_HUNG)}' in facts.read_text()


def test_guest_that_resets_itself(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("reset -c\n")
    result = run_command(["run", "--qemu", "stock", "--script", str(script)])
    assert result.returncode == ExitCode.GUEST_HUNG
    assert "ended unexpectedly" in result.stderr
    assert log_of(result).is_dir()


def test_crash_of_a_monitor(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("ExecMon.efi start\nGuestTool.efi triple-fault\nreset -s\n")
    result = run_command(["run", "--script", str(script)])
    assert result.returncode == ExitCode.GUEST_CRASHED
    assert "the executive monitor crashed" in result.stderr and "class=guest-triple-fault" in result.stderr
    assert "\n  exit reason 2: triple fault\n" in result.stderr
    assert re.search(r"\n  RIP 0x[0-9a-f]+: in GuestTool\.efi\+0x[0-9a-f]+\n", result.stderr), result.stderr
    assert (log_of(result) / "executive.log").is_file()


def test_own_script(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("SmiTool.efi b2 2\nSmiTool.efi count\nreset -s\n")
    result = run_command(["run", "--qemu", "stock", "--script", str(script)])
    assert result.returncode == ExitCode.OK, result.stderr
    assert "SMI count (MSR 34H)" in result.stdout


def test_failed_build(tmp_path: Path) -> None:
    """A mistake in the STM: the compiler's words, and where the rest of them is."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(paths.CHECKOUT), str(clone)], check=True)
    with (clone / "StmPkg/Stm/Exit/Smi.c").open("a") as source:
        source.write("#error broken by a test\n")
    result = run_command(["run", "--qemu", "stock"], clone)
    assert result.returncode == ExitCode.BUILD_FAILED
    assert "the STM's build failed" in result.stderr
    assert "error: #error broken by a test" in result.stderr
    assert "broken by a test" in log_of(result).read_text()


def test_bad_arguments(tmp_path: Path) -> None:
    for arguments, words in (
        (["run", "--script", str(tmp_path / "absent")], "absent"),
        (["run", "--json", str(tmp_path / "no" / "such.json")], "cannot be written (No such file or directory)"),
        (["inspect", str(tmp_path / "absent.mseg")], "no such file"),
        (["run", "--qemu", "other"], "invalid choice"),
    ):
        result = run_command(arguments)
        assert result.returncode == ExitCode.USAGE and words in result.stderr, arguments


def test_schema_allows_every_code_of_a_run() -> None:
    codes = document.SCHEMA_FILE.read_text()
    for code in (ExitCode.OK, ExitCode.GUEST_HUNG, ExitCode.GUEST_CRASHED, ExitCode.EXPECTATION_FAILED):
        assert re.search(rf'"exit_status": .*?\b{int(code)}\b', codes, re.DOTALL)
