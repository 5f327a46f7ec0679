# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The verdict of the command ``run``, with a boot that only left logs behind."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from build_scripts.builds.firmware_build import Firmware
from build_scripts.commands import run
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import document, shell, shell_experiment
from build_scripts.experiments.experiment import Request
from build_scripts.machine import processors
from build_scripts.machine.machine import Ending
from build_scripts.observation.events import read_stream

from .streams import Logs, good_run

GOOD_END = Ending("guest-shutdown", 0, 10.0)
REQUEST = Request()


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logs:
    """The logs of a good run, which is what the next boot leaves behind; a test may add to them."""
    made = good_run(tmp_path / "run")
    monkeypatch.setattr(shell_experiment, "find_qemu", lambda _configuration: tmp_path / "qemu")
    monkeypatch.setattr(shell_experiment, "find_firmware", lambda _image: Firmware.in_folder(tmp_path))
    monkeypatch.setattr(processors, "version", lambda _qemu: "10.0")
    monkeypatch.setattr(
        shell_experiment,
        "boot_configuration",
        lambda *_arguments, **_named: shell.Result(made.write(), GOOD_END, read_stream(made.folder)),
    )
    return made


def test_good_run(logs: Logs, tmp_path: Path) -> None:
    request = Request(json=tmp_path / "out.json")
    assert run.run(request) == ExitCode.OK
    assert json.loads((tmp_path / "out.json").read_text())["exit_status"] == 0


def test_missing_fact(logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.activation()
    request = Request(json=tmp_path / "out.json")
    assert run.run(request) == 7
    said = capsys.readouterr().err
    assert (
        "the experiment first-light did not show what it should" in said
        and "activations of the STM: expected 2, saw 3" in said
        and str(logs.folder) in said
    )
    assert json.loads((tmp_path / "out.json").read_text())["exit_status"] == 7


@pytest.mark.parametrize(
    ("log", "source", "event", "fields"),
    [
        ("executive.log", "EXEC", "stm-call", "api=x status=0x0"),
        ("records.log", "APP", "script-status", "line=x status=1"),
    ],
)
def test_unreadable_record(logs: Logs, log: str, source: str, event: str, fields: str) -> None:
    logs.record(log, source, event, fields)
    with pytest.raises(LabError, match="unreadable record") as caught:
        run.run(REQUEST)
    assert caught.value.code == ExitCode.EXPECTATION_FAILED and caught.value.log == logs.folder


def test_crash_comes_before_unreadable_records(logs: Logs) -> None:
    logs.record("executive.log", "EXEC", "stm-call", "api=x")
    logs.stm("crash", "class=exception")
    with pytest.raises(LabError, match="the STM crashed") as caught:
        run.run(REQUEST)
    assert caught.value.code == ExitCode.GUEST_CRASHED and caught.value.log == logs.folder


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        (OSError("no space"), ExitCode.USAGE, "--json: no space"),
        (jsonschema.ValidationError("surprise"), ExitCode.EXPECTATION_FAILED, "do not fit the schema: surprise"),
    ],
)
def test_facts_that_cannot_be_written(
    logs: Logs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: Exception,
    code: ExitCode,
    words: str,
) -> None:
    def refuse(_path: Path, _document: object) -> None:
        raise problem

    monkeypatch.setattr(document, "write", refuse)
    assert run.run(Request(json=tmp_path / "out.json")) == code
    said = capsys.readouterr().err
    assert words in said and str(logs.folder) in said


@pytest.fixture
def own_script(tmp_path: Path) -> Request:
    path = tmp_path / "script"
    path.write_text("StmStatus.efi\n\nnosuchcommand\nreset -s\n")
    return Request(script=path)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("0xe", "line 3, 'nosuchcommand': the Shell's status is 0xe (not found)"),
        ("0x800000000000000e", "the Shell's status is 0x800000000000000e (not found)"),
        ("0x1234", "the Shell's status is 0x1234\n"),
    ],
)
def test_failing_command_of_an_own_script(
    logs: Logs, own_script: Request, capsys: pytest.CaptureFixture[str], status: str, words: str
) -> None:
    """Exit code 7, the line and the Shell's status, on stderr and in the story."""
    logs.app("script", "line=3 cmd=nosuchcommand")
    logs.app("script-status", f"line=3 status={status}")
    assert run.run(own_script) == ExitCode.EXPECTATION_FAILED
    said = capsys.readouterr()
    assert words in said.err and str(own_script.script) in said.err
    assert f"shell: nosuchcommand\n    the Shell's status is {status}" in said.out


def test_own_script_whose_commands_succeed(logs: Logs, own_script: Request) -> None:
    """It need not show the demonstration."""
    logs.activation()
    logs.app("script", "line=3 cmd=ver")
    logs.app("script-status", "line=3 status=0x0")
    assert run.run(own_script) == ExitCode.OK


def test_line_numbers_are_the_users(own_script: Request) -> None:
    assert own_script.script is not None
    assert shell.read_script(own_script.script) == ("StmStatus.efi", "", "nosuchcommand", "reset -s")


def test_console_is_named(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.run(REQUEST) == ExitCode.OK
    assert f"console of the guest: {logs.folder / 'console.log'}" in capsys.readouterr().out


def test_json_names_a_directory(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Is a directory") as caught:
        run.run(Request(json=tmp_path))
    assert caught.value.code == ExitCode.USAGE
