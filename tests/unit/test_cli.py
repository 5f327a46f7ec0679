# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line itself: help, version, refusals, completion."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import __version__, cli, paths
from build_scripts.commands import run
from build_scripts.errors import ExitCode
from build_scripts.experiments import catalogue
from build_scripts.experiments.experiment import Request
from build_scripts.machine.processors import Configuration

COMMANDS = (
    "run",
    "linux",
    "debug",
    "report",
    "shell",
    "bare",
    "exercise",
    "bundle",
    "test",
    "conformance",
    "model",
    "bench",
    "fuzz",
    "compile-commands",
    "build",
    "inspect",
    "matrix",
    "doctor",
    "completion",
)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and everything printed."""
    try:
        code = cli.main(arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    output = capsys.readouterr()
    return code, output.out + output.err


@pytest.mark.parametrize("command", ["run", "linux"])
@pytest.mark.parametrize("value", ["0", "-5", "nan", "inf", "-inf", "soon", ""])
def test_times_out_of_reason(command: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused with one sentence and exit code 2."""
    code, text = said([command, f"--timeout={value}"], capsys)
    assert code == ExitCode.USAGE
    assert text.count("\n") == 1 and f"'{value}' is not a number of seconds greater than 0" in text


def test_stock_machine_without_the_treatment(capsys: pytest.CaptureFixture[str]) -> None:
    """Two options that contradict each other."""
    code, text = said(["run", "--qemu", "stock", "--no-dual-monitor"], capsys)
    assert code == ExitCode.USAGE
    assert text.count("\n") == 1 and "--no-dual-monitor" in text and "--qemu stock" in text


@pytest.mark.parametrize("value", ["0", "-1", "65", "two", "1.5"])
def test_processors_out_of_reason(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """L3."""
    code, text = said(["run", f"--processors={value}"], capsys)
    assert code == ExitCode.USAGE and f"'{value}' is not a number from 1 to 64" in text and text.count("\n") == 1


def test_words_that_are_no_fw_cfg(capsys: pytest.CaptureFixture[str]) -> None:
    """L3."""
    code, text = said(["run", "--fw-cfg", "test-handler=1"], capsys)
    assert code == ExitCode.USAGE and "must begin with opt/" in text


def test_options_reach_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """L3, L12."""
    seen: list[Request] = []

    def record(request: Request) -> int:
        seen.append(request)
        return 0

    monkeypatch.setattr(run, "run", record)
    words = (
        "run first-light --no-dual-monitor --processors 2 --fw-cfg opt/a=1 --fw-cfg opt/b=@f --timeout 0.5 -v "
        "--json j --script s --stm-image m --kernel generic"
    )
    assert cli.main(words.split()) == 0
    assert cli.main(["run"]) == 0
    assert cli.main(["run", "--qemu", "stock"]) == 0
    assert seen == [
        Request(
            json=Path("j"),
            script=Path("s"),
            timeout=0.5,
            processors=2,
            verbose=True,
            configuration=Configuration.NO_DUAL_MONITOR,
            fw_cfg=("opt/a=1", "opt/b=@f"),
            stm_image=Path("m"),
            kernel="generic",
        ),
        Request(experiment="first-light"),
        Request(configuration=Configuration.STOCK),
    ]


def test_linux_is_another_name_of_an_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was a command stays one, and asks for the same."""
    seen: list[Request] = []

    def record(request: Request) -> int:
        seen.append(request)
        return 7

    monkeypatch.setattr(run, "run", record)
    words = ["--kvm-args", "ept=0 vpid=0", "--kernel-args", "lab.steps=kvm", "--program", "p", "--timeout", "9"]
    assert cli.main(["linux", *words]) == cli.main(["run", "kvm", *words]) == 7
    assert cli.main(["linux"]) == cli.main(["run", "kvm"]) == 7
    asked = Request(
        experiment="kvm",
        timeout=9.0,
        kvm_args=("ept=0", "vpid=0"),
        kernel_args=("lab.steps=kvm",),
        program=Path("p"),
    )
    assert seen == [asked, asked, Request(experiment="kvm"), Request(experiment="kvm")]


def test_list_of_experiments(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its title, in 80 columns; nothing is booted."""
    monkeypatch.setenv("COLUMNS", "80")
    code, text = said(["run", "--list"], capsys)
    assert code == 0 and max(len(line) for line in text.splitlines()) <= 80
    words = " ".join(text.split())
    for experiment in catalogue.EXPERIMENTS:
        assert f"{experiment.name} {experiment.title}" in words


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("run --list kvm", "kvm"),
        ("run --list --json x.json", "--json"),
        ("run --list --processors 2", "--processors"),
        ("run --list --qemu stock", "--qemu"),
        ("bare --list smi", "smi"),
        ("bare --list --json x.json", "--json"),
        ("bare --list --qemu stock", "--qemu"),
        ("fuzz --list api", "api"),
        ("fuzz --list --runs 3", "--runs"),
    ],
)
def test_a_list_comes_alone(words: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What would have no effect beside it is refused."""
    assert cli.main(words.split()) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == "" and f"does nothing else; it has no use for {named}" in captured.err


def test_unknown_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["run", "third-light"], capsys)
    assert code == ExitCode.USAGE and text.count("\n") == 1 and "'third-light'" in text and "'plain-vmm'" in text


def test_an_unknown_option_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["run", "--fast"], capsys)
    assert code == ExitCode.USAGE and text.count("\n") == 1 and "--fast" in text and "--help" in text


def test_help_speaks_to_users(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command has a sentence in the list; its own help has a description, and examples where options matter."""
    monkeypatch.setenv("COLUMNS", "80")
    code, text = said(["--help"], capsys)
    assert code == 0 and "exit codes:" in text and "is the place to start" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s+\S+ \S+ \S+", text, re.MULTILINE), command
    for command in COMMANDS:
        if command == "test":  # its help is pytest's
            continue
        code, text = said([command, "--help"], capsys)
        assert code == 0 and re.search(r"\n\n[A-Z][^.]+\.\n\n", text), command
        assert ("examples:" in text) == (command != "doctor"), command


def test_every_example_is_a_command_line() -> None:
    """Options in the examples exist and take what they are given."""
    examples = [
        line.strip()
        for command in subcommands().values()
        for line in (command.epilog or "").splitlines()
        if line.strip().startswith("stmlab ")
    ]
    assert len(examples) > 8
    for example in examples:
        words = re.split(r" {2,}", example)[0].replace('"', "").split()[1:]
        assert cli.parser().parse_args(words).command == words[0], example


# In a block, behind a prompt or without, or within a sentence.
SHOWN = re.compile(
    r"^(?: +|\$ )(?:\$ )?(?:python3 -m build_scripts|stmlab) (.+)$|``(?:python3 -m build_scripts|stmlab) ([^`]+)``",
    re.M,
)
# What stands for a word of the reader's.
PLACES = {"COMMAND": "run", "EXPERIMENT": "kvm", "NAME": "hot-path", "RUN": "20261128", "TARGET": "api"}


def shown_commands(text: str) -> list[str]:
    """The lab's commands that a page shows, wherever."""
    joined = re.sub(r"\\\n *", "", text)
    found = [" ".join("".join(match).split()) for match in SHOWN.findall(joined)]
    # What the shell does with it.
    return [re.split(r" [|&;>#]| \\n", command)[0] for command in found]


def test_every_command_of_the_docs_is_a_command_line(checkout: Path) -> None:
    """Also in texts that no test carries out: the command and its options exist and take what they are given."""
    pages = [*(checkout / "docs").rglob("*.rst"), *checkout.glob("*.md")]
    commands = [(page, command) for page in pages for command in shown_commands(page.read_text(encoding="utf-8"))]
    assert len(commands) > 80
    refused = []
    for page, command in commands:
        words = [PLACES.get(word, word) for word in shlex.split(command)]
        if words[0] == "test" or words == ["--version"]:
            continue
        try:
            cli.parser().parse_args(words)
        except SystemExit as ended:
            if ended.code:
                refused.append(f"{page.relative_to(checkout)}: {command}")
    assert refused == []


@pytest.mark.parametrize("text", ["   $ python3 -m build_scripts nothing\n", "see ``stmlab run --nothing`` there"])
def test_a_command_that_does_not_exist_is_found(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = shown_commands(text)
    with pytest.raises(SystemExit):
        cli.parser().parse_args(shlex.split(command))
    assert "stmlab: " in capsys.readouterr().err


def subcommands() -> dict[str, argparse.ArgumentParser]:
    actions = cli.parser()._actions
    group = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    return dict(group.choices)


def test_commands_are_those_of_the_reference(checkout: Path) -> None:
    """docs/reference/cli.rst lists each command, and each option of `run`."""
    assert set(subcommands()) == set(COMMANDS)
    page = (checkout / "docs/reference/cli.rst").read_text()
    for command in COMMANDS:
        assert re.search(rf"^   \* - ``{command}( FILE)?``", page, re.MULTILINE), command
    for action in subcommands()["run"]._actions:
        for option in action.option_strings:
            assert option in ("-h", "--help", "-v") or f"``{option}" in page, option


@pytest.mark.parametrize("python", [sys.executable, "/usr/bin/python3"])
def test_version_needs_nothing(python: str, tmp_path: Path) -> None:
    """Not even the cache: the answer comes before anything is installed."""
    variables = dict(os.environ, PYTHONPATH=str(paths.CHECKOUT), XDG_CACHE_HOME=str(tmp_path / "cache"))
    command = [python, "-m", "build_scripts", "--version"]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"stmlab {__version__}\n")
    assert not (tmp_path / "cache").exists()


def test_version_of_the_grammar(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(["--version"], capsys) == (0, f"stmlab {__version__}\n")


def completions(line: str, folder: Path, shell: str = "bash") -> set[str]:
    """What bash offers after `line`, with the code that the command prints, from another directory."""
    script = (
        f'eval "$("{sys.executable}" -m build_scripts completion {shell})" || exit 1\n'
        f'COMP_WORDS=({line} "") COMP_CWORD=1 COMP_TYPE=9 COMP_LINE={line!r} COMP_POINT=${{#COMP_LINE}}\n'
        "_python_argcomplete stmlab\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    own = Path(sys.executable).parent
    variables = {name: value for name, value in os.environ.items() if not name.startswith("_ARGCOMPLETE")}
    variables["PYTHONPATH"] = str(paths.CHECKOUT)
    # The environment's python3, and no stmlab of an installation.
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(own / "python3")
    variables["PATH"] = f"{folder / 'bin'}:/usr/bin:/bin"
    script = f'python3() {{ "{sys.executable}" "$@"; }}\n{script}'
    result = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return {word.strip() for word in result.stdout.split("\n") if word.strip()}


def test_completion_yields_the_commands(tmp_path: Path) -> None:
    assert completions("stmlab ", tmp_path) >= set(COMMANDS)


def test_completion_yields_options_and_choices(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert completions("stmlab run --fw", tmp_path / "a") == {"--fw-cfg"}
    assert completions("stmlab run --qemu ", tmp_path / "b") == {"extended", "stock"}


def test_completion_yields_experiments(tmp_path: Path) -> None:
    assert completions("stmlab run ", tmp_path) >= set(catalogue.NAMES)


def test_completion_installs_nothing(tmp_path: Path) -> None:
    """A shell that waits for completions gets none from a lab that is not set up."""
    variables = dict(os.environ, PYTHONPATH=str(paths.CHECKOUT), XDG_CACHE_HOME=str(tmp_path / "cache"))
    variables |= {"_ARGCOMPLETE": "1", "COMP_LINE": "stmlab ", "COMP_POINT": "7"}
    command = ["/usr/bin/python3", "-m", "build_scripts"]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "")
    assert not list((tmp_path / "cache").rglob("venv*"))
