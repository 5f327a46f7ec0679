# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The parser of a command, and the values of options: `ArgumentTypeError` has a sentence for what is none."""

from __future__ import annotations

import argparse
import math
import textwrap
from pathlib import Path
from typing import NoReturn, TypeAlias

from build_scripts.conformance import shards
from build_scripts.errors import ExitCode, LabError
from build_scripts.machine.processors import Configuration

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"

MOST_PROCESSORS = 64
# The processor that goes with a QEMU.
QEMUS = {"extended": Configuration.DUAL_MONITOR, "stock": Configuration.STOCK}
# What argparse leaves as it is written: descriptions, and examples.
_COLUMNS = 78


def seconds(text: str) -> float:
    """A time."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds greater than 0")
    return value


def processors(text: str) -> int:
    """A number of processors."""
    if not (text.isdecimal() and 1 <= int(text) <= MOST_PROCESSORS):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MOST_PROCESSORS}")
    return int(text)


def count(text: str) -> int:
    """A number of things."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number greater than 0")
    return int(text)


def number(text: str) -> int:
    """A number, or 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return int(text)


def shard(text: str) -> shards.Shard:
    """A share of a run."""
    try:
        return shards.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence; the whole grammar is what --help is for."""

    def error(self, message: str) -> NoReturn:
        """Say it, and end."""
        self.exit(int(ExitCode.USAGE), f"stmlab: {message}; '{self.prog} --help' lists what there is\n")


def add(commands: Commands, name: str, help_text: str, *, description: str = "", examples: str = "") -> Parser:
    """A command's parser: one line for the list, a sentence or two and examples for its own --help."""
    return commands.add_parser(
        name,
        help=help_text,
        description=textwrap.fill(description or f"{help_text[0].upper()}{help_text[1:]}.", _COLUMNS),
        epilog=f"examples:\n{textwrap.indent(textwrap.dedent(examples).strip(), '  ')}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def machine_options(parser: argparse.ArgumentParser, processors_default: str, *, image: bool = True) -> None:
    """Options of every command that boots the firmware: `run`, `shell` and `debug`.

    Args:
        processors_default: how many processors there are without the option, for the help.
        image: whether the command takes another STM image; one that does not says why.
    """
    parser.add_argument(
        "--processors",
        type=processors,
        metavar="N",
        help=f"how many the machine has (default: {processors_default})",
    )
    parser.add_argument(
        "--stm-image",
        type=Path,
        metavar="FILE",
        help="run this STM image instead of the checkout's own" if image else argparse.SUPPRESS,
    )
    parser.add_argument(
        "--fw-cfg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="hand a fw_cfg file to the firmware, NAME=@FILE for a file's content; may be repeated",
    )


def treatment_options(parser: argparse.ArgumentParser, whose: str = "") -> None:
    """Options that choose the processor.

    Args:
        whose: which experiment takes them, if not every one does, with a colon.
    """
    parser.add_argument("--qemu", choices=tuple(QEMUS), help=f"{whose}the lab's QEMU or the distribution's")
    parser.add_argument(
        "--no-dual-monitor", action="store_true", help=f"{whose}a processor with VMX, without the treatment"
    )


def listed_alone(what: str, given: list[str], name: str | None) -> None:
    """Refuse what has no effect beside ``--list``.

    Raises:
        LabError: something was given.
    """
    words = [*([name] if name is not None else []), *given]
    if words:
        raise LabError(f"--list names the {what} and does nothing else; it has no use for {words[0]}", ExitCode.USAGE)


def configuration(options: argparse.Namespace) -> Configuration | None:
    """The processor that `treatment_options` ask for; None if they ask for none.

    Raises:
        LabError: they contradict each other.
    """
    if options.qemu == "stock" and options.no_dual_monitor:
        raise LabError(
            "--no-dual-monitor is about the lab's QEMU; the distribution's (--qemu stock) has no VMX at all",
            ExitCode.USAGE,
        )
    if options.no_dual_monitor:
        return Configuration.NO_DUAL_MONITOR
    return None if options.qemu is None else QEMUS[options.qemu]
