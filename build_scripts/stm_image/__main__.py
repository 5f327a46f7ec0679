# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Command line: `convert --efi FILE --out FILE [--json FILE]` and `inspect FILE [--json]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from build_scripts.processes import reader_is_gone
from build_scripts.stm_image import layout
from build_scripts.stm_image.convert import ImageError, convert
from build_scripts.stm_image.inspector import inspect_image, read_image


def _convert(options: argparse.Namespace) -> int:
    """Convert one module; an unchanged result does not touch the files."""
    efi: Path = options.efi
    out: Path = options.out
    try:
        image = convert(efi.read_bytes(), options.mseg_revision)
    except ImageError as error:
        print(f"{efi}: {error}", file=sys.stderr)
        return 1
    if not out.is_file() or out.read_bytes() != image.data:
        out.write_bytes(image.data)
    facts: Path | None = options.json
    if facts is not None:
        facts.write_text(json.dumps(image.facts(), indent=2) + "\n", encoding="ascii")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    """Print one image; 1 if the loader would refuse it."""
    image: Path = options.file
    try:
        report = inspect_image(read_image(image))
    except OSError as error:
        print(f"{image}: {error.strerror}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"{image}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report.as_json(), indent=2) if options.json else report.text())
    return 1 if report.problems else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m build_scripts.stm_image", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("convert", help="make Stm.mseg from the linked module")
    command.add_argument("--efi", type=Path, required=True, help="linked module, PE32+")
    command.add_argument("--out", type=Path, required=True, help="MSEG image to write")
    command.add_argument("--json", type=Path, help="facts about the image")
    command.add_argument("--mseg-revision", type=int, default=layout.MSEG_REVISION, help="MSEG revision identifier")
    command.set_defaults(run=_convert)
    command = commands.add_parser("inspect", help="explain an MSEG image")
    command.add_argument("file", type=Path)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_inspect)
    options = parser.parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:
        return reader_is_gone()
    return status


if __name__ == "__main__":
    sys.exit(main())
