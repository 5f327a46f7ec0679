# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``run`` with what users bring: their scripts, words for the firmware, processors, signals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.builds.firmware_build import Firmware
from build_scripts.commands import run
from build_scripts.errors import ExitCode
from build_scripts.experiments import shell
from build_scripts.experiments.experiment import Request
from build_scripts.observation.events import Record, read_stream
from build_scripts.processes import communicate
from tests.support.newcomer import environment
from tests.unit.test_processes import alive, ends

from .conftest import BUILD_TIMEOUT_SECONDS
from .test_errors import run_command

TEST_HANDLER = "opt/org.stmlab/test-handler=1"


def write(folder: Path, *lines: str) -> str:
    path = folder / "script.nsh"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def records_of(output: str) -> tuple[Record, ...]:
    found = re.search(r"^logs: (.+)$", output, re.MULTILINE)
    assert found is not None, output
    return read_stream(Path(found[1])).records


def test_typing_errors(tmp_path: Path) -> None:
    """An unknown command, a tool's unknown word, an internal command that fails: each with line and status."""
    script = write(tmp_path, "ver", "", "nosuchcommand", "ExecMon.efi strat", "cd nosuchfolder", "ver", "reset -s")
    result = run_command(["run", "--qemu", "stock", "--script", script])
    assert result.returncode == ExitCode.EXPECTATION_FAILED, result.stdout + result.stderr
    failed = re.findall(r"^    line (\d+), '(.*)': the Shell's status is (0x[0-9a-f]+) \((.*)\)$", result.stderr, re.M)
    assert failed == [
        ("3", "nosuchcommand", "0xe", "not found"),
        ("4", "ExecMon.efi strat", "0x2", "invalid parameter"),
        ("5", "cd nosuchfolder", "0x800000000000000e", "not found"),
    ]
    assert script in result.stderr


def test_session_without_marked_smis(tmp_path: Path) -> None:
    """The STM ran, SmiTool did not: the text says so in figures."""
    script = write(tmp_path, "ExecMon.efi start", "ver", "ExecMon.efi stop", "reset -s")
    result = run_command(["run", "--script", script])
    assert result.returncode == ExitCode.OK, result.stderr
    text = " ".join(result.stdout.split())
    found = re.search(r"traced ([\d,]+) SMIs from reset to the end: ([\d,]+) under the dual-monitor treatment", text)
    assert found is not None, result.stdout
    dual = int(found[2].replace(",", ""))
    stopped = next(record for record in records_of(result.stdout) if record.event == "stop")
    assert dual == stopped.number("smis") > 0
    assert "None of them was raised by SmiTool" in text and "activations of the STM: 1" in text
    assert "no VMX" not in text


def test_firmware_of_zeros(
    tmp_path: Path, firmware: Firmware, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What never ran reported nothing; nothing is said about VMX."""
    zeros = tmp_path / "OVMF_CODE.fd"
    zeros.write_bytes(bytes(firmware.code.stat().st_size))
    empty = replace(firmware, code=zeros)
    monkeypatch.setattr(shell, "firmware_to_boot", lambda: empty)
    assert run.run(Request(timeout=5.0)) == ExitCode.GUEST_HUNG
    said = capsys.readouterr()
    assert "The firmware reported no status" in said.out and "The machine traced no SMI." in said.out
    assert "has no VMX" not in said.out and "the guest hung; stopped after" in said.err


def test_words_for_the_firmware(tmp_path: Path) -> None:
    """--fw-cfg arms the test handler; without it the tool fails."""
    script = write(tmp_path, "SmmTest.efi mseg-read", "reset -s")
    armed = run_command(["run", "--qemu", "stock", "--script", script, "--fw-cfg", TEST_HANDLER])
    assert armed.returncode == ExitCode.OK, armed.stderr
    unarmed = run_command(["run", "--qemu", "stock", "--script", script])
    assert unarmed.returncode == ExitCode.EXPECTATION_FAILED and "line 1, 'SmmTest.efi mseg-read'" in unarmed.stderr
    results = [
        [record.text("result") for record in records_of(output) if record.event == "smm-test"]
        for output in (armed.stdout, unarmed.stdout)
    ]
    assert results == [["done"], ["no-handler"]]


def test_several_processors_without_the_treatment(tmp_path: Path) -> None:
    """Where nothing stays unprotected the demonstration runs; nothing is counted, and the trace has both."""
    facts = tmp_path / "facts.json"
    result = run_command(["run", "--no-dual-monitor", "--processors", "2", "--json", str(facts)])
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    found = re.search(r"^logs: (.+)$", result.stdout, re.MULTILINE)
    assert found is not None
    assert {event.cpu for event in read_stream(Path(found[1])).transitions} == {0, 1}
    assert '"instructions": null' in facts.read_text() and '"total"' not in facts.read_text()
    assert json.loads(facts.read_text())["processors"] == 2
    command = (Path(found[1]) / "command").read_text().splitlines()
    assert command[command.index("-smp") + 1] == "2" and "-icount" not in command


def test_several_processors_where_the_stm_is_not_started(tmp_path: Path) -> None:
    """Allowed with the treatment on offer, as long as nothing starts it."""
    script = write(tmp_path, "StmStatus.efi", "ExecMon.efi status", "reset -s")
    result = run_command(["run", "--processors", "2", "--script", script])
    assert "activations of the STM: 0" in result.stdout, result.stdout + result.stderr


def test_verbose(tmp_path: Path) -> None:
    script = write(tmp_path, "ver", "reset -s")
    result = run_command(["run", "--qemu", "stock", "--script", script, "-v"])
    assert result.returncode == ExitCode.OK, result.stderr
    lines = result.stderr.splitlines()
    assert "stmlab: shell: ver" in lines and lines.index("stmlab: shell: ver") < lines.index("stmlab: shell: reset -s")
    assert any(line.startswith("stmlab: QEMU's command line: ") and "-accel tcg" in line for line in lines)
    named = re.search(r"^console of the guest: (.+)$", result.stdout, re.MULTILINE)
    assert named is not None and "lab> ver" in Path(named[1]).read_text(errors="replace")


@contextmanager
def waiting_lab(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``run`` as a user calls it, with a guest that waits for a key; yields it and its QEMU's process."""
    script = write(folder, "pause", "reset -s")
    with subprocess.Popen(
        ["python3", "-m", "build_scripts", "run", "--qemu", "stock", "--script", script],
        cwd=paths.CHECKOUT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as lab:
        try:
            yield lab, _qemu_of(lab.pid)
        finally:
            lab.kill()


def _qemu_of(lab: int) -> int:
    limit = time.monotonic() + BUILD_TIMEOUT_SECONDS
    while time.monotonic() < limit:
        for child in Path(f"/proc/{lab}/task/{lab}/children").read_text().split():
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
            except FileNotFoundError:
                continue
            if b"script,file=" in command:
                return int(child)
        time.sleep(0.1)
    raise AssertionError("no QEMU was started")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_qemu_ends_with_the_lab(tmp_path: Path, number: signal.Signals) -> None:
    """Kill -9 and SIGTERM of the command that a user started."""
    with waiting_lab(tmp_path) as (lab, qemu):
        assert alive(qemu)
        lab.send_signal(number)
        _out, said = communicate(lab, 60)
        assert ends(qemu), "QEMU was left behind"
    assert lab.returncode == (-number if number is signal.SIGKILL else 128 + number)
    assert "Traceback" not in said and "Task was destroyed" not in said
