# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Every command's help and every screen that stored data give fits a terminal of 80 columns that can do nothing."""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from build_scripts import cli, paths, system
from build_scripts.bare.engine import Seen
from build_scripts.benchmarks import page_text
from build_scripts.commands import bare, bench, doctor, matrix
from build_scripts.commands import exercise as exercises
from build_scripts.conformance.image_run import Outcome as Ended
from build_scripts.errors import ExitCode
from build_scripts.exercises import tree
from build_scripts.exercises.catalogue import EXERCISES
from build_scripts.exercises.exercise import Trial
from build_scripts.experiments.attacking import report as attack_report
from build_scripts.experiments.attacking.attack import Attack, Column, Outcome, Verdict
from build_scripts.experiments.attacking.catalogue import all_attacks
from build_scripts.experiments.attacking.report import Row
from build_scripts.experiments.catalogue import EXPERIMENTS
from build_scripts.experiments.experiment import Expectation, Experiment, show_expectations
from build_scripts.machine.processors import Configuration
from build_scripts.observation import show
from build_scripts.observation.events import read_stream
from build_scripts.observation.report import build_report
from build_scripts.stm_image.convert import convert
from build_scripts.versions import matrix as versions
from tests.host.test_convert import GOOD
from tests.support.screens import COLUMNS, PLAIN, complaints

from .streams import good_run
from .test_experiments import nothing_seen
from .test_matrix import ROWS

GOOD_IMAGE = convert(GOOD.bytes()).data
STORED = sorted(path.name for path in (paths.CHECKOUT / "docs/runs").iterdir())
LONG = "0x" + "f" * 16
HASH = "a" * 64
_NUMBERS = "status vector guest_vector rip vmcs base length value port"
_SMALL = "cpu serial read wrapped added type xstate degradation smis processor bus device function entries places wakes"
_WORDS = f"""
    api=0x10007 expected=1 degraded=2 name=handled-protection-exception kind=write access=rw resource=memory
    cmd=Standby.efi%20s3%20-vector%209c000%20{"x%20" * 40} reason=resources-incomplete state=enabled result=woken
    answer=present event=power-off stm=1 counts=1:1234567,10:12345678,18:99,30:123456789,48:1234,55:123456
    mseg_sha256={HASH} image_sha256={HASH} written=1 read_back=1 class=unexpected-exit
    mseg_base={LONG} mseg_size={LONG} image_problem=StaticImageSize:beyond-file image_source=fw-cfg
"""
# What records of the story may have, as long as it becomes.
MANY = " ".join(
    [*(f"{key}={LONG}" for key in _NUMBERS.split()), *(f"{key}=1" for key in _SMALL.split()), *_WORDS.split()]
)
REFUSED = (
    f"vmx_refusal cpu=0 t=1 insn=VMRESUME result=exit-reason-33 rule=VMX-GST-02 field=GUEST_CR0 encoding=0x6800 "
    f"value={LONG} demand=bits that must be 1 in VMX operation, and no other than those that may be 1 "
    "section=Checks on the Guest State Area, 26.3.1.1 [27.3.1.1]"
)
GRAMMAR = cli.parser()
(_SUB,) = [action for action in GRAMMAR._actions if isinstance(action, argparse._SubParsersAction)]
# pytest's own help is not ours.
COMMANDS = [name for name in _SUB.choices if name != "test"]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_complaints_are_made() -> None:
    """Of each kind; a path may be long, and other words behind it may not."""
    path = f"logs: /{'a' * 90}"
    assert complaints(f"{'x' * 80}\n{path}\nbooting ...\n    /{'a' * 90}") == []
    for line in (
        "x" * 81,
        f"{path} and more",
        "\x1b[1mbold\x1b[0m",
        "a handler-calls-unprot…",
        "227e21a4...",
        "a\rb\x08",
    ):
        assert len(complaints(line)) >= 1, line


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*([name] if name else []), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "usage: stmlab" in text and complaints(text) == []
    if name:
        assert "examples:" in text or name == "doctor"


def printed(show_it: Callable[[Console], Any]) -> str:
    out = io.StringIO()
    made = show.console()
    assert made.width == COLUMNS
    show_it(Console(file=out, width=made.width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize(
    "words",
    ["run --list", "bare --list", "exercise --list", "fuzz --list", "doctor", "inspect Stm.mseg", "inspect bad.mseg"],
)
def test_lists(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Stm.mseg").write_bytes(GOOD_IMAGE)
    (tmp_path / "bad.mseg").write_bytes(bytes(8192))
    monkeypatch.chdir(tmp_path)
    cli.main(words.split())
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 3 and complaints(text) == []


def test_doctor_with_everything_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WORKSPACE", "EDK_TOOLS_PATH", "PACKAGES_PATH", "CONF_PATH"):
        monkeypatch.setenv(name, "/x")
    monkeypatch.setenv("EDK2_DIR", str(tmp_path))
    monkeypatch.setattr(system, "missing", lambda needs=system.NEEDS: list(needs))
    (tmp_path / "MdePkg").mkdir()
    (tmp_path / "Platform/OvmfStmPkg").mkdir(parents=True)
    (tmp_path / "Platform/OvmfStmPkg/PlatformBuild.py").write_text(
        'SCOPES = ("stm", "edk2-build", "cibuild", "ovmf")\n'
    )
    assert doctor.doctor(tmp_path) == ExitCode.EXPECTATION_FAILED
    text = capsys.readouterr().out
    assert text.count("WRONG") >= 5 and text.count("note ") == len(system.TEST_NEEDS)
    # A path of this test's folder may be one word of a sentence, and longer than a line.
    assert complaints(text.replace(str(tmp_path), "/x").replace(str(paths.cache_dir()), "/x")) == []


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_exercises(
    exercise: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What there is to do, and what is still wrong, with long words of a compiler."""
    monkeypatch.setattr(tree, "COPIED", ())
    monkeypatch.setattr(tree, "_patch", lambda *_arguments: None)
    exercises.begin(exercise.name, False)
    monkeypatch.setattr(
        tree, "try_out", lambda *_arguments: Trial(4, None, f"stmlab: {'Exit/Smi.c: error: no ' * 9}\n")
    )
    assert exercises.check(exercise.name) == ExitCode.EXPECTATION_FAILED
    text = capsys.readouterr().out
    assert "not yet" in text and str(tree.place(exercise)) in text and complaints(text) == []


@pytest.mark.parametrize("run", STORED)
@pytest.mark.parametrize("configuration", list(Configuration))
def test_stored_runs(run: str, configuration: Configuration) -> None:
    stream = read_stream(paths.CHECKOUT / "docs/runs" / run)
    report = build_report(stream, configuration)
    text = printed(lambda out: show.show(report, stream, out))
    assert text.strip() and complaints(text) == []


def test_a_run_with_everything(tmp_path: Path) -> None:
    logs = good_run(tmp_path)
    logs.app("smi-begin", "cause=variable")
    logs.plain_smi(extra_reasons=(10, 55, 48))
    logs.app("smi-end", "")
    log_of = {"FW": "records.log", "APP": "records.log", "STM": "stm.log", "EXEC": "executive.log"}
    for source, event in show._TOLD:
        # A crash record is told as it is; no command and no image is in it.
        fields = MANY if event != "crash" else re.sub(r"(?:cmd|image_sha256)=\S+ ", "", MANY)
        logs.record(log_of[source], source, event, fields)
    logs.lines["machine.log"].append(REFUSED)
    stream = read_stream(logs.write())
    assert stream.errors == ()
    report = build_report(stream, Configuration.DUAL_MONITOR)
    text = printed(lambda out: show.show(report, stream, out))
    assert text.count("extra exit of SMI") == 3 and "VMX-GST-02" in text and complaints(text) == []


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_experiments(experiment: Experiment[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each one's story, expectations and closing, of boots in which nothing was seen."""
    seen = nothing_seen(experiment, tmp_path)
    out = show.console()
    experiment.story(seen, out)
    show_expectations(experiment.expectations(seen), out)
    experiment.closing(seen, out)
    text = capsys.readouterr().out
    assert "Expectations: 0 of" in text and complaints(text) == []


def test_expectations_with_long_values() -> None:
    """Names that are longer than a column, in each of them."""
    names = ["handled-protection-exception 0x1000d", "ERROR_STM_SECURITY_VIOLATION", "integrity,confidentiality,scrub"]
    made = [Expectation.equal(name * 2, [name], [*names, name]) for name in names]
    text = printed(lambda out: show_expectations(made, out))
    assert complaints(text) == []
    # Column by column, put together again, they are whole.
    rows = [line for line in text.splitlines()[3:] if line.strip()]
    begins = [0, *(text.splitlines()[2].index(f" {heading}") + 1 for heading in ("Expected", "Seen", "Met"))]
    for begin, end in itertools.pairwise(begins):
        column = "".join("".join(line[begin:end].split()) for line in rows)
        assert [name for name in names if "".join(name.split()) not in column] == [], column


@pytest.fixture
def attacks() -> list[Row]:
    """Every attack, as it went in the run of the documentation."""
    stored = json.loads((paths.CHECKOUT / "docs/reference/attacks.json").read_text(encoding="utf-8"))["attacks"]

    def row(attack: Attack, facts: dict[str, Any]) -> Row:
        seen = {column: Verdict(Outcome(facts[column.value]), facts["seen"][column.value]) for column in Column}
        return Row(facts["name"], attack, {}, seen)

    return [row(all_attacks()[facts["name"]], facts) for facts in stored]


def test_attacks(attacks: list[Row]) -> None:
    """The whole table, in which every name, broken behind its hyphens, can be read; and each in detail."""
    text = printed(lambda out: out.print(attack_report.table(attacks)))
    assert complaints(text) == []
    first = ["".join(line[:21].split()) for line in text.splitlines()]
    names = "".join(first)
    assert [row.name for row in attacks if row.name not in names] == []
    for row in attacks:
        lines = "\n".join(attack_report.detail(row))
        text = printed(lambda out, lines=lines: show.tell(out, lines))  # type: ignore[misc]
        assert row.name in text and complaints(text) == []


def test_bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The tables of the documentation, as the command prints them."""
    facts = json.loads((paths.CHECKOUT / "docs/reference/stm-cost.json").read_text(encoding="utf-8"))
    tables = page_text.stm_costs(facts)
    monkeypatch.setattr(bench, "_measured", lambda *_arguments: (facts, tables))
    monkeypatch.setattr(bench, "need_images", lambda: None)
    assert bench.bench(None, None, quick=False, exact=True) == ExitCode.OK
    text = capsys.readouterr().out
    assert text.split() == tables.split() and complaints(text) == []


@pytest.mark.parametrize("run", STORED)
def test_a_program_without_firmware(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = read_stream(paths.CHECKOUT / "docs/runs" / run)
    said = ("SMBASE: the save state says 0x1f000000, and " + "the handler " * 12, "")
    bare.show(Seen(Ended((), 0, None, None, "", ""), said, stream, tmp_path))
    text = capsys.readouterr().out
    assert "Transitions" in text and "it was still running at the time limit" in text and complaints(text) == []


def test_matrix(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(versions, "matrix", lambda _trees: ROWS)
    matrix.matrix([], [], None)
    text = capsys.readouterr().out
    assert "10.0.13" in text and complaints(text) == []


STEP = """
from build_scripts.progress import step
with step("booting the firmware on QEMU 10.0.13 (dual-monitor), a title of 70 columns.") as shown:
    shown.line("[1/2] cc")
    shown.line("executive monitor: VMLAUNCH, the Shell continues as its guest, and more")
from build_scripts.commands.run import list_experiments
list_experiments()
"""


def on_a_terminal(variables: dict[str, str]) -> str:
    """What a step of work and a list show on a terminal."""
    ours, theirs = pty.openpty()
    environment = dict(os.environ) | variables
    with subprocess.Popen(
        [sys.executable, "-c", STEP], env=environment, cwd=paths.CHECKOUT, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # its other end is closed
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.returncode == 0, said
    return said.decode().replace("\r\n", "\n")


def test_bar_and_colours_are_for_terminals_that_have_them() -> None:
    """A dumb terminal cannot go back in its line: plain words, no control sequence."""
    text = on_a_terminal(PLAIN)
    assert "a title of 70 columns. ...\n" in text and "first-light" in text
    assert complaints(text.replace("stmlab: booting the firmware on QEMU 10.0.13 (dual-monitor), ", "")) == []


def test_a_bar_leaves_the_title_whole() -> None:
    """Where there is one, it moves in a line of its own, which is no longer than the terminal's."""
    text = on_a_terminal({"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"})
    assert "(dual-monitor), a title of 70 columns. ...\n" in text and "\x1b[2K" in text
    bars = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", text) if "0:00:0" in line]
    assert bars and max(map(len, bars)) <= COLUMNS
    assert any("executive monitor: VMLAUNCH, the Shell" in line for line in bars) and "…" not in text
