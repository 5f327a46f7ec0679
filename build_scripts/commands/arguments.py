# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Values of the command line's options; each raises `ArgumentTypeError` with a sentence for what is none."""

from __future__ import annotations

import argparse
import math

from build_scripts.conformance import shards

MOST_PROCESSORS = 64


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
