# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line: arguments in, exit code out. Each command's work is in a module of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import ExitCode, LabError

Command = Callable[[argparse.Namespace], int]


def _test(options: argparse.Namespace) -> int:
    """Run pytest in the checkout; its exit status is the result."""
    os.chdir(paths.CHECKOUT)
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *options.pytest_arguments]
    os.execv(sys.executable, command)


def _inspect(options: argparse.Namespace) -> int:
    """Explain an MSEG image; the converter's package knows the layout."""
    image: Path = options.file
    if not image.is_file():
        raise LabError(f"no such file: {image}", ExitCode.USAGE)
    command = [sys.executable, "-m", "build_scripts.stm_image", "inspect", str(image)]
    return subprocess.run(command, cwd=paths.CHECKOUT, check=False).returncode


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    root = argparse.ArgumentParser(prog="stmlab", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

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
