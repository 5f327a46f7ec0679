# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The grammar of the commands by which one learns: report, shell, bare, exercise."""

from __future__ import annotations

import argparse
from pathlib import Path

from build_scripts.commands import arguments, bare, exercise, report, shell
from build_scripts.commands.arguments import Commands, add
from build_scripts.errors import ExitCode, LabError
from build_scripts.exercises.catalogue import EXERCISES
from build_scripts.machine.processors import Configuration


def _report(options: argparse.Namespace) -> int:
    return report.report(options.run, options.output, options.open)


def _shell(options: argparse.Namespace) -> int:
    configuration = arguments.configuration(options) or Configuration.DUAL_MONITOR
    return shell.shell(configuration, options.processors or 1, tuple(options.fw_cfg), options.stm_image)


def _bare(options: argparse.Namespace) -> int:
    given = [f"--{name}" for name in ("qemu", "json") if getattr(options, name)]
    if options.list:
        arguments.listed_alone("programs", given, options.program)
    elif options.program is None and given:
        raise LabError(f"{given[0]} of which program?", ExitCode.USAGE, remedy=f"bare PROGRAM {given[0]} ...")
    if options.program is None:
        return bare.list_programs()
    return bare.bare(options.program, options.qemu == "stock", options.json)


def _exercise(options: argparse.Namespace) -> int:
    given = [f"--{name}" for name in ("list", "solution", "again") if getattr(options, name)]
    if options.name == exercise.CHECK:
        if given:
            raise LabError(f"exercise check takes no {given[0]}, only the name of an exercise", ExitCode.USAGE)
        return exercise.check(options.which)
    if options.list:
        arguments.listed_alone("exercises", [], options.name)
    if len(given) > 1:
        raise LabError(f"{given[0]} or {given[1]}, not both", ExitCode.USAGE)
    if options.list or options.name is None:
        if given[:1] not in ([], ["--list"]):
            raise LabError(f"{given[0]} of which exercise?", ExitCode.USAGE, remedy=f"exercise NAME {given[0]}")
        return exercise.list_exercises()
    if options.which is not None:
        raise LabError(f"one exercise at a time, not {options.name} and {options.which}", ExitCode.USAGE)
    return exercise.mend(options.name) if options.solution else exercise.begin(options.name, options.again)


def add_parsers(commands: Commands) -> None:
    """Add the four commands."""
    picture = add(
        commands,
        "report",
        "show a run as one HTML file, with a timeline of every transition",
        examples="""
            stmlab report                           of the last run
            stmlab report 20261128-052913-dual-monitor-786099 --output night.html
            stmlab report --open
        """,
    )
    picture.add_argument("run", nargs="?", metavar="RUN", help="its directory, or that one's name (default: the last)")
    picture.add_argument("--output", type=Path, metavar="FILE", help="where to (default: report.html beside its logs)")
    picture.add_argument("--open", action="store_true", help="open it in the browser")
    picture.set_defaults(function=_report)

    prompt = add(
        commands,
        "shell",
        "the UEFI Shell of the lab's machine, on this terminal",
        description="Boot the lab's machine into the UEFI Shell and talk to it; Ctrl-A X ends it.",
        examples="""
            stmlab shell                            then: ExecMon.efi start
            stmlab shell --processors 2
            stmlab shell --qemu stock
            stmlab shell --fw-cfg opt/org.stmlab/test-handler=1
        """,
    )
    arguments.machine_options(prompt, "1")
    arguments.treatment_options(prompt)
    prompt.set_defaults(function=_shell)

    _bare_parser(commands)
    _exercise_parser(commands)


def _bare_parser(commands: Commands) -> None:
    program = add(
        commands,
        "bare",
        "run a one-page program without firmware, in a second",
        description="Build and run one of the chapters' programs, or one of your own, without firmware.",
        examples="""
            stmlab bare --list
            stmlab bare smi
            stmlab bare smi --qemu stock
            stmlab bare tests/machine/chapters/mine.c
        """,
    )
    program.add_argument("program", nargs="?", metavar="PROGRAM", help="its name, or a C file below tests/machine")
    program.add_argument("--list", action="store_true", help="name the programs and end")
    program.add_argument("--qemu", choices=("extended", "stock"), help="the lab's QEMU or the distribution's")
    program.add_argument("--json", type=Path, metavar="FILE", help="write the facts of the run")
    program.set_defaults(function=_bare)


def _exercise_parser(commands: Commands) -> None:
    task = add(
        commands,
        "exercise",
        "a copy of the tree with a fault in it, for you to mend",
        description="Exercises of the chapters: begin one, mend its fault, and hear whether it is gone.",
        examples="""
            stmlab exercise --list
            stmlab exercise hot-path                makes its tree and tells what to do
            stmlab exercise check                   passed, or what is still wrong
            stmlab exercise hot-path --solution
        """,
    )
    names = ", ".join(found.name for found in EXERCISES)
    task.add_argument("name", nargs="?", metavar="NAME", help=f"{names}; or check")
    task.add_argument("which", nargs="?", metavar="NAME", help="check: which one (default: the last)")
    task.add_argument("--list", action="store_true", help="name the exercises and end")
    task.add_argument("--solution", action="store_true", help="put the solution into the tree")
    task.add_argument("--again", action="store_true", help="begin anew, and throw away what was done")
    task.set_defaults(function=_exercise)
