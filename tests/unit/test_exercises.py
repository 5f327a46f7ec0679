# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Exercises: each fault fits the checkout and comes out again, and the check tells one run from another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from build_scripts import cli, paths
from build_scripts.errors import ExitCode, LabError
from build_scripts.exercises import tree
from build_scripts.exercises.catalogue import EXERCISES, find
from build_scripts.exercises.exercise import Exercise, Trial, unfinished
from build_scripts.observation.events import Stream, parse_records
from build_scripts.stm_image import convert
from build_scripts.stm_image.inspector import inspect_image
from tests.host.test_convert import GOOD

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what faults are put into is copied."""
    programs = ("tests/machine/chapters", "tests/machine/stm")
    monkeypatch.setattr(tree, "COPIED", ("StmPkg/Stm", "build_scripts/stm_image", *programs, "docs/tutorial"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths.files_below(folder)}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_fault_goes_in_and_out(small: None, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The mended tree is the checkout's, byte by byte; the task says where the tree is."""
    assert cli.main(["exercise", name]) == 0
    target = tree.place(BY_NAME[name])
    said = capsys.readouterr().out
    assert str(target) in said and " ".join(BY_NAME[name].task.split()) in " ".join(said.split())
    broken = contents(target)
    unchanged = {path: (paths.CHECKOUT / path).read_bytes() for path in broken if path != tree.STAMP}
    faulty = {path for path in unchanged if broken[path] != unchanged[path]}
    assert faulty and all(f"+++ b/{path}\n" in (tree.PATCHES / f"{name}.patch").read_text() for path in faulty)
    assert cli.main(["exercise", name, "--solution"]) == 0
    mended = contents(target)
    assert cli.main(["exercise", name, "--solution"]) == ExitCode.USAGE, "there is no fault to take out any more"
    assert contents(target) == mended
    written = {path for path in mended if mended[path] != unchanged.get(path)} - {tree.STAMP}
    if BY_NAME[name].writes:
        solution = (tree.PATCHES / f"{name}.solution.patch").read_text()
        assert written and all(f"+++ b/{path}\n" in solution for path in written)
    else:
        assert written == set()


def test_what_a_student_did_is_not_thrown_away(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercise", "hot-path"]) == 0
    mine = tree.place(BY_NAME["hot-path"]) / "StmPkg/Stm/Exit/Smi.c"
    mine.write_text("mine\n")
    assert cli.main(["exercise", "hot-path"]) == ExitCode.USAGE
    assert mine.read_text() == "mine\n" and "--again" in capsys.readouterr().err
    assert cli.main(["exercise", "hot-path", "--solution"]) == ExitCode.USAGE
    assert "does not fit" in capsys.readouterr().err and mine.read_text() == "mine\n"
    assert cli.main(["exercise", "hot-path", "--again"]) == 0
    assert mine.read_text() != "mine\n"


@pytest.mark.parametrize(
    "fails", [LabError("the patch does not fit"), OSError(28, "No space left"), KeyboardInterrupt()]
)
def test_again_keeps_the_work_until_there_is_something_new(
    small: None, monkeypatch: pytest.MonkeyPatch, fails: BaseException
) -> None:
    """Whatever goes wrong while the new tree is made, the old one is there as it was, and nothing beside it."""
    exercise = BY_NAME["hot-path"]
    target = tree.begin(exercise, again=False)
    (target / "StmPkg/Stm/Exit/Smi.c").write_text("mine\n")
    before = contents(target)

    def patch(_tree: Path, _patch: Path, *_options: str) -> None:
        raise fails

    monkeypatch.setattr(tree, "_patch", patch)
    with pytest.raises(type(fails)):
        tree.begin(exercise, again=True)
    assert contents(target) == before
    assert [path.name for path in tree.folder().iterdir()] == ["hot-path"]


def test_again_leaves_nothing_of_the_old_tree(small: None) -> None:
    exercise = BY_NAME["hot-path"]
    target = tree.begin(exercise, again=False)
    before = contents(target)
    (target / "notes.txt").write_text("mine\n")
    assert tree.begin(exercise, again=True) == target
    assert contents(target) == before
    assert [path.name for path in tree.folder().iterdir()] == ["hot-path"]


@pytest.mark.parametrize(
    ("text", "why"),
    [('{"smis": [', "Expecting value"), ("[]", "not an object"), ("\udcff", "can't decode")],
    ids=["cut", "list", "no-text"],
)
def test_facts_that_nobody_can_read(small: None, capsys: pytest.CaptureFixture[str], text: str, why: str) -> None:
    """One error with its place, no traceback."""
    target = tree.begin(BY_NAME["hot-path"], again=False)
    raw = text.encode("utf-8", "surrogateescape")
    (target / "build_scripts/__init__.py").touch()
    (target / "build_scripts/__main__.py").write_text(
        f"import pathlib, sys\npathlib.Path(sys.argv[sys.argv.index('--json') + 1]).write_bytes({raw!r})\n"
    )
    assert cli.main(["exercise", "check"]) == ExitCode.EXPECTATION_FAILED
    said = capsys.readouterr().err
    assert f"stmlab: the run in {target} wrote facts that cannot be read: .exercise.json: " in said
    assert why in said and "remedy: " in said and "Traceback" not in said


def test_facts_of_another_lab(small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tree.begin(BY_NAME["hot-path"], again=False)
    monkeypatch.setattr(tree, "try_out", lambda *_arguments: Trial(0, {"smis": [{}]}, ""))
    assert cli.main(["exercise", "check"]) == ExitCode.EXPECTATION_FAILED
    assert "'treatment' is missing in its facts" in capsys.readouterr().err


def test_records_of_another_stm(
    small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tree.begin(BY_NAME["hot-path"], again=False)
    stream = recorded("stop t=9 cpu=0 smis=many")
    monkeypatch.setattr(tree, "try_out", lambda *_arguments: Trial(0, facts(), "", stream=stream))
    assert cli.main(["exercise", "check"]) == ExitCode.EXPECTATION_FAILED
    said = capsys.readouterr().err
    assert f"a log of the run in {target}: " in said and "smis=many" in said and "Traceback" not in said


def test_an_error_of_python_is_shown_to_its_end(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The place in the student's tree and the error itself, which come last; and not the frames above."""
    target = tree.begin(BY_NAME["mseg-header"], again=False)
    (target / "build_scripts/__init__.py").touch()
    frames = "".join(f"def f{number}(): f{number + 1}()\n" for number in range(9))
    (target / "build_scripts/__main__.py").write_text(
        f"{frames}def f9(): raise ValueError('Cr3Offset lies outside')\nf0()\n"
    )
    assert cli.main(["exercise", "check"]) == ExitCode.EXPECTATION_FAILED
    out = " ".join(capsys.readouterr().out.split())
    assert "a Python program in the tree fails" in out
    assert f'File "{target}/build_scripts/__main__.py", line 10, in f9' in out
    assert "ValueError: Cr3Offset lies outside" in out and "in f3" not in out


def test_a_syntax_error_is_shown(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    target = tree.begin(BY_NAME["mseg-header"], again=False)
    (target / "build_scripts/__init__.py").touch()
    (target / "build_scripts/__main__.py").write_text("from build_scripts import broken\n")
    (target / "build_scripts/broken.py").write_text("def f(:\n")
    assert cli.main(["exercise", "check"]) == ExitCode.EXPECTATION_FAILED
    out = " ".join(capsys.readouterr().out.split())
    assert f'File "{target}/build_scripts/broken.py", line 1' in out and "SyntaxError: " in out


def test_many_lines_are_not_cut_in_silence() -> None:
    errors = "".join(f"stmlab: complaint {number}\n" for number in range(9))
    (shown,) = unfinished(Trial(7, None, errors))
    assert shown.splitlines()[1:] == [*(f"    complaint {number}" for number in range(6)), "    ... and 3 more lines"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check"], "no exercise has been begun"),
        (["check", "hot-path"], "has not been begun"),
        (["hot-path", "--solution"], "has not been begun"),
        (["nothing"], "no exercise has the name nothing"),
        (["hot-path", "mseg-header"], "one exercise at a time"),
        (["--again"], "--again of which exercise?"),
        (["--solution"], "--solution of which exercise?"),
        (["--list", "hot-path"], "it has no use for hot-path"),
        (["--list", "--again"], "--list or --again, not both"),
        (["hot-path", "--again", "--solution"], "--solution or --again, not both"),
        (["check", "--list"], "exercise check takes no --list"),
        (["check", "hot-path", "--again"], "exercise check takes no --again"),
    ],
)
def test_refusals(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exercise", *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("raw", "why"), [(None, "No such file"), (b"1 caf\xe9\n", "can't decode")])
def test_answers_that_nobody_can_read(
    small: None, capsys: pytest.CaptureFixture[str], raw: bytes | None, why: str
) -> None:
    exercise = BY_NAME["stranger"]
    answers = tree.begin(exercise, again=False) / exercise.answers
    if raw is None:
        answers.unlink()
    else:
        answers.write_bytes(raw)
    assert cli.main(["exercise", "check", "stranger"]) == ExitCode.EXPECTATION_FAILED
    said = capsys.readouterr().err
    assert f"{exercise.answers} in {tree.place(exercise)} cannot be read: " in said and why in said
    assert "remedy: exercise stranger --again" in said


def test_a_solution_goes_in_whole_or_not_at_all(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault would come out, but the student has begun the file that the solution makes."""
    target = tree.begin(BY_NAME["rdtsc"], again=False)
    (target / "StmPkg/Stm/Exit/Rdtsc.c").write_text("mine\n")
    before = contents(target)
    assert cli.main(["exercise", "rdtsc", "--solution"]) == ExitCode.USAGE
    assert "rdtsc.solution.patch does not fit" in capsys.readouterr().err and contents(target) == before


def test_list_tells_what_was_begun(small: None, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["exercise", "hot-path"])
    capsys.readouterr()
    assert cli.main(["exercise", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[-1] for line in lines if line.strip()}
    assert set(BY_NAME) <= set(rows)
    assert [name for name in BY_NAME if rows[name] == "yes"] == ["hot-path"]


def test_every_exercise_has_its_chapter(checkout: Path) -> None:
    for exercise in EXERCISES:
        page = (checkout / "docs" / f"{exercise.page}.rst").read_text(encoding="utf-8")
        assert f"exercise {exercise.name}" in page, exercise.name
        assert page.count(".. dropdown::") >= 3, "symptom, mend and answer are hidden until asked for"
    patches = {path.stem for path in tree.PATCHES.iterdir()}
    assert patches == set(BY_NAME) | {f"{exercise.name}.solution" for exercise in EXERCISES if exercise.writes}


def test_the_header_has_three_faults(small: None) -> None:
    """The converter of the exercise's tree writes an image whose faults our inspector names; the mended one none."""
    exercise = BY_NAME["mseg-header"]
    program = "import sys\nfrom build_scripts.stm_image.convert import convert\n"
    program += "sys.stdout.buffer.write(convert(sys.stdin.buffer.read()).data)\n"

    def made() -> bytes:
        target = tree.place(exercise)
        (target / "build_scripts/__init__.py").touch()
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, input=GOOD.bytes(), cwd=target, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    tree.begin(exercise, again=False)
    problems = inspect_image(made()).problems
    for field in ("MonitorFeatures", "StaticImageSize", "Cr3Offset"):
        assert any(field in problem for problem in problems), problems
    tree.mend(exercise)
    assert made() == convert(GOOD.bytes()).data


def facts(**changed: Any) -> dict[str, Any]:
    smi = {"treatment": "dual-monitor", "instructions": {"stm": 660, "handler": 900, "total": 1560}}
    return {"firmware": {"state": "enabled", "reason": "none", "image_problem": None}, "smis": [smi], **changed}


def program(**changed: Any) -> dict[str, Any]:
    """What the command bare writes."""
    return {"said": [], "checks": [], "wrong": [], "refusals": [], "crash": None, "transitions": []} | changed


def recorded(*lines: str) -> Stream:
    """A log of the STM's."""
    return Stream(tuple(parse_records("".join(f"STM: ev={line}\n" for line in lines))))


RING = "smi t=1 cpu=0 seq=2 reason=0x5 rip=0x0 qual=0x0 address=0x0"
STOP = "stop t=9 cpu=0 smis=2 exits=0"
STRANGER = (paths.CHECKOUT / "docs/tutorial/stranger.txt").read_text(encoding="utf-8")
EXPENSIVE = {"treatment": "dual-monitor", "instructions": {"stm": 9000, "handler": 900, "total": 9900}}
REFUSED = {"state": "refused", "reason": "image-malformed", "image_problem": "Cr3Offset:not-aligned"}


@pytest.mark.parametrize(
    ("name", "trial", "said"),
    [
        ("hot-path", Trial(0, facts(), "", stream=recorded(RING, RING, STOP)), ""),
        ("hot-path", Trial(0, facts(), "", stream=recorded(RING, STOP)), "of 1 SMIs, and the STM has served 2"),
        ("hot-path", Trial(0, facts(), ""), "of 0 SMIs, and the STM has served 1"),
        ("hot-path", Trial(0, facts(), "", stream=recorded("smi t=1 cpu=0 reason=0x5", STOP)), "of 0 SMIs"),
        ("hot-path", Trial(0, facts(smis=[EXPENSIVE]), ""), "9,000 instructions"),
        ("hot-path", Trial(0, facts(smis=[]), ""), "no SMI"),
        ("hot-path", Trial(4, None, "Smi.c:40: error: no"), "does not build\n    Smi.c:40"),
        ("mseg-header", Trial(0, facts(), ""), ""),
        ("mseg-header", Trial(0, facts(firmware=REFUSED), ""), "Cr3Offset:not-aligned"),
        ("mseg-header", Trial(5, None, "stmlab: hung"), "hung"),
        ("exit-handler", Trial(6, facts(), "stmlab: exit reason 10: CPUID"), "exit reason 10: CPUID"),
        ("exit-handler", Trial(0, facts(), ""), ""),
        ("rdtsc", Trial(0, program(transitions=[{"kind": "handler-exit", "reason": 16}]), ""), ""),
        ("rdtsc", Trial(0, program(transitions=[{"kind": "exit", "reason": 16}]), ""), "causes no VM exit"),
        ("rdtsc", Trial(6, program(wrong=["the STM crashed: class=x"]), ""), "class=x"),
        ("waits", Trial(0, program(), ""), ""),
        ("waits", Trial(7, program(wrong=["smis: got:0x0,want:0x3"]), ""), "got:0x0,want:0x3"),
        ("own-vmm", Trial(7, program(wrong=["smis"], refusals=["VMCALL failed"]), ""), "refused: VMCALL failed"),
        ("waits", Trial(4, None, "stmlab: waits.c:3: error: no"), "does not build\n    waits.c:3"),
        ("second-attack", Trial(7, program(wrong=["two-attacks: 1"]), ""), "there is one attack only"),
        ("standby", Trial(0, program(), ""), "its VMM does not know"),
        ("standby", Trial(0, program(said=["exit reason 30"]), ""), "sleeps in VMX operation"),
        ("standby", Trial(0, program(said=["exit reason 30"], transitions=[{"kind": "vmxoff"}] * 2), ""), ""),
        ("stranger", Trial(0, None, "", STRANGER), ""),
        (
            "stranger",
            Trial(0, None, "", STRANGER.replace(" 3 VM entry to the SMI handler;", " 3 SMM VM exit;")),
            "line 3: not 'SMM VM exit'\n",
        ),
        (
            "stranger",
            Trial(0, None, "", STRANGER.replace(" 2 VMCALL that activates; STM", " 2 ?; guest")),
            "line 2: say what it is; 'guest' is not who has the processor",
        ),
        ("stranger", Trial(0, None, "", "1 VMXON\n"), "has not the form NUMBER WHAT; WHO\n  line 1 is missing"),
    ],
)
def test_what_the_check_says(
    name: str, trial: Trial, said: str, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(exercise: Exercise, _told: Callable[[str], None]) -> Trial:
        assert exercise is find(name)
        return trial

    cli.main(["exercise", name])
    monkeypatch.setattr(tree, "try_out", tried)
    capsys.readouterr()
    status = cli.main(["exercise", "check"])
    out = capsys.readouterr().out
    assert (status, out) == (0, f"{name}: passed\n") if not said else status == ExitCode.EXPECTATION_FAILED
    assert said in out


def test_the_tree_runs_its_own_programs(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is carried out in the tree, with what the tree holds."""
    exercise = BY_NAME["hot-path"]
    target = tree.begin(exercise, again=False)
    program = target / "build_scripts/__main__.py"
    program.write_text(
        "import json, pathlib, sys\n"
        "words = sys.argv[1:]\n"
        "document = {'words': words, 'where': str(pathlib.Path.cwd())}\n"
        "pathlib.Path(words[words.index('--json') + 1]).write_text(json.dumps(document))\n"
        "logs = pathlib.Path(words[words.index('--json') + 1]).with_name('logs')\n"
        "logs.mkdir()\n"
        f"(logs / 'stm.log').write_text('STM: ev={STOP}\\n')\n"
        "print(f'told\\nlogs: {logs}')\n"
        "sys.exit('said')\n"
    )
    (target / "build_scripts/__init__.py").touch()
    said: list[str] = []
    trial = tree.try_out(exercise, said.append)
    assert said == ["said"]
    assert trial.document is not None and trial.document["where"] == str(target.resolve())
    assert (trial.status, trial.errors.strip()) == (1, "said")
    words = trial.document["words"]
    assert words[0] == "run"
    script = Path(words[words.index("--script") + 1]).read_text(encoding="ascii")
    assert script.splitlines() == list(exercise.script)
    assert json.dumps(trial.document)
    assert [str(record) for record in trial.stream.records] == [f"STM: ev={STOP}"] and trial.stream.errors == ()
