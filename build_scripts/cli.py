# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line: arguments in, exit code out. Each command's work is in a module of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from build_scripts.builds.firmware_build import TARGETS
from build_scripts.commands import bench, build, conformance, doctor, inspect, linux, run, test
from build_scripts.conformance.rules import SUITES
from build_scripts.errors import LabError
from build_scripts.linux.boot import TIMEOUT_SECONDS as LINUX_SECONDS
from build_scripts.machine.machine import DEFAULT_TIMEOUT_SECONDS
from build_scripts.machine.processors import Configuration

Command = Callable[[argparse.Namespace], int]


def _test(options: argparse.Namespace) -> int:
    test.test(options.pytest_arguments)


def _run(options: argparse.Namespace) -> int:
    if options.qemu == "stock":
        configuration = Configuration.STOCK
    elif options.no_dual_monitor:
        configuration = Configuration.NO_DUAL_MONITOR
    else:
        configuration = Configuration.DUAL_MONITOR
    return run.run(run.RunRequest(configuration, options.json, options.script, options.timeout))


def _build(options: argparse.Namespace) -> int:
    return build.build(options.target)


def _conformance(options: argparse.Namespace) -> int:
    return conformance.conformance(options.suite, options.json, options.page)


def _bench(options: argparse.Namespace) -> int:
    return bench.bench(options.json, options.rst, options.quick)


def _linux(options: argparse.Namespace) -> int:
    request = linux.LinuxRequest(
        tuple(options.kvm_args.split()), tuple(options.kernel_args.split()), options.program, options.timeout
    )
    return linux.run(request)


def _doctor(_options: argparse.Namespace) -> int:
    return doctor.doctor()


def _inspect(options: argparse.Namespace) -> int:
    return inspect.inspect(options.file)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    root = argparse.ArgumentParser(prog="stmlab", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = commands.add_parser("run", help="boot the demonstration and show what each SMI does")
    show.add_argument("--qemu", choices=("extended", "stock"), default="extended", help="which QEMU (default: ours)")
    show.add_argument("--no-dual-monitor", action="store_true", help="a processor with VMX and without the treatment")
    show.add_argument("--json", type=Path, metavar="FILE", help="write the facts of the run")
    show.add_argument("--script", type=Path, metavar="FILE", help="own Shell commands; the last is usually 'reset -s'")
    show.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT_SECONDS, metavar="SECONDS", help="limit of the boot"
    )
    show.set_defaults(function=_run)

    machine = commands.add_parser("build", help="build the machine and the firmware")
    machine.add_argument("--target", choices=TARGETS, default="DEBUG", help="flavour of the firmware")
    machine.set_defaults(function=_build)

    rules = commands.add_parser("conformance", help="run the machine's test images and report rule by rule")
    rules.add_argument("--suite", choices=SUITES, required=True, help="which table of rules")
    rules.add_argument("--json", type=Path, metavar="FILE", help="write the status of every rule")
    rules.add_argument("--page", type=Path, metavar="FILE", help="write the page of the documentation")
    rules.set_defaults(function=_conformance)

    cost = commands.add_parser("bench", help="measure what VMX costs, used and unused")
    cost.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    cost.add_argument("--rst", type=Path, metavar="FILE", help="replace the tables of this page of the documentation")
    cost.add_argument("--quick", action="store_true", help="a little of everything; the numbers mean nothing")
    cost.set_defaults(function=_bench)

    own = commands.add_parser("linux", help="boot the distribution's Linux and its KVM in the machine")
    own.add_argument("--kvm-args", default="", metavar="WORDS", help="parameters of kvm_intel, such as 'ept=0'")
    own.add_argument("--kernel-args", default="", metavar="WORDS", help="further words of the kernel's command line")
    own.add_argument("--program", type=Path, metavar="FILE", help="a static program to run instead of the lab's")
    own.add_argument("--timeout", type=float, default=LINUX_SECONDS, metavar="SECONDS", help="of the boot")
    own.set_defaults(function=_linux)

    check = commands.add_parser("doctor", help="check the environment, print remedies")
    check.set_defaults(function=_doctor)

    suite = commands.add_parser("test", help="run the test-suite", add_help=False)
    suite.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="...", help="go to pytest")
    suite.set_defaults(function=_test)

    image = commands.add_parser("inspect", help="explain an STM image (MSEG file)")
    image.add_argument("file", type=Path, metavar="FILE")
    image.set_defaults(function=_inspect)
    return root


def main(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        An exit code of `errors.ExitCode`; for ``test`` pytest's own.
    """
    # REMAINDER does not take a leading option, so pytest's arguments are split off by hand.
    if arguments[:1] == ["test"]:
        return _test(argparse.Namespace(pytest_arguments=arguments[1:]))
    options = parser().parse_args(arguments)
    function: Command = options.function
    try:
        return function(options)
    except LabError as error:
        print(f"stmlab: {error}", file=sys.stderr)
        return int(error.code)
    except KeyboardInterrupt:
        print("stmlab: interrupted", file=sys.stderr)
        return 130
