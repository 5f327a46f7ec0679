# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line: arguments in, exit code out. Each command's work is in a module of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from build_scripts import bench, conformance, doctor, paths, run
from build_scripts.errors import ExitCode, LabError
from build_scripts.firmware_build import TARGETS, build_firmware
from build_scripts.linux import command as linux
from build_scripts.linux.boot import TIMEOUT_SECONDS as LINUX_SECONDS
from build_scripts.machine import DEFAULT_TIMEOUT_SECONDS
from build_scripts.processors import Configuration
from build_scripts.qemu_build import extended_qemu
from build_scripts.stm_image.__main__ import main as stm_image

Command = Callable[[argparse.Namespace], int]


def _test(options: argparse.Namespace) -> int:
    """Run pytest in the checkout; its exit status is the result."""
    os.chdir(paths.CHECKOUT)
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *options.pytest_arguments]
    os.execv(sys.executable, command)


def _run(options: argparse.Namespace) -> int:
    if options.qemu == "stock":
        configuration = Configuration.STOCK
    elif options.no_dual_monitor:
        configuration = Configuration.NO_DUAL_MONITOR
    else:
        configuration = Configuration.DUAL_MONITOR
    return run.run(run.RunRequest(configuration, options.json, options.script, options.timeout))


def _build(options: argparse.Namespace) -> int:
    """Build machine and firmware, and say where they are."""
    print(f"machine: {extended_qemu()}")
    firmware = build_firmware(options.target)
    print(f"firmware: {firmware.code}\nSTM image: {firmware.mseg}")
    return ExitCode.OK


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
    """Explain an MSEG image; the converter's package knows the layout."""
    image: Path = options.file
    if not image.is_file():
        raise LabError(f"no such file: {image}", ExitCode.USAGE)
    return ExitCode.OK if stm_image(["inspect", str(image)]) == 0 else ExitCode.USAGE


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

    build = commands.add_parser("build", help="build the machine and the firmware")
    build.add_argument("--target", choices=TARGETS, default="DEBUG", help="flavour of the firmware")
    build.set_defaults(function=_build)

    rules = commands.add_parser("conformance", help="run the machine's test images and report rule by rule")
    rules.add_argument("--suite", choices=conformance.SUITES, required=True, help="which table of rules")
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

    test = commands.add_parser("test", help="run the test-suite", add_help=False)
    test.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="...", help="go to pytest")
    test.set_defaults(function=_test)

    inspect = commands.add_parser("inspect", help="explain an STM image (MSEG file)")
    inspect.add_argument("file", type=Path, metavar="FILE")
    inspect.set_defaults(function=_inspect)
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
