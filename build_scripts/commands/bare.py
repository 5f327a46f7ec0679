# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``bare``: run a program without firmware, and show what it says and what the processor did."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from build_scripts import paths
from build_scripts.bare.catalogue import PROGRAMS, find
from build_scripts.bare.engine import Seen, carry_out
from build_scripts.commands.output import need_writable
from build_scripts.errors import ExitCode, LabError
from build_scripts.observation.events import Transition
from build_scripts.observation.names import ENTRY_FAILURE, EXIT_REASONS
from build_scripts.observation.show import console, tell
from build_scripts.progress import say, step
from build_scripts.tables import compact_table

SCHEMA = paths.SCHEMAS / "bare-1.json"
MOST_SHOWN = 30
# What an entry has no reason for.
_EXITS = ("exit", "smm-exit", "handler-exit", "activate", "entry-failure")


def list_programs() -> int:
    """Print the name of each program and what it is about."""
    table = compact_table("Programs", words=("Name", "What it is about", "Source below tests/machine"), numbers=())
    for program in PROGRAMS:
        table.add_row(program.name, program.title, program.source)
    console().print(table)
    return int(ExitCode.OK)


def words_of(event: Transition) -> tuple[str, str, str, str]:
    """A transition for the table: what, from where to where, why, and the VMCS that is current behind it."""
    why = ""
    if event.kind.value in _EXITS:
        failure = " (the entry failed)" if event.reason & ENTRY_FAILURE else ""
        why = f"{event.basic_reason} {EXIT_REASONS.get(event.basic_reason, '')}{failure}"
    vmcs = "" if event.vmcs == 0xFFFF_FFFF_FFFF_FFFF else f"{event.vmcs:#x}"
    return event.kind.value, f"{event.source.value} > {event.target.value}", why, vmcs


def show(seen: Seen) -> None:
    """Print what a run left."""
    out = console()
    for line in seen.said:
        tell(out, line)
    if events := seen.stream.transitions:
        table = compact_table("\nTransitions", words=("Kind", "From > to", "Reason", "VMCS"), numbers=())
        for event in events[:MOST_SHOWN]:
            table.add_row(*words_of(event))
        out.print(table)
        if len(events) > MOST_SHOWN:
            tell(out, f"and {len(events) - MOST_SHOWN} more in\n    {seen.folder / 'machine.log'}")
    for refusal in seen.stream.refusals:
        tell(out, f"refused: {refusal}")
    for wrong in seen.wrong:
        tell(out, f"WRONG {wrong}")
    print(f"logs: {seen.folder}")


def exit_code(seen: Seen) -> ExitCode:
    """What the command returns."""
    if seen.outcome.status is None:
        return ExitCode.GUEST_HUNG
    if seen.outcome.shutdown is None and seen.crash is not None:
        return ExitCode.GUEST_CRASHED
    return ExitCode.EXPECTATION_FAILED if seen.wrong else ExitCode.OK


def bare(name: str, stock: bool, json_file: Path | None) -> int:
    """Run a program.

    Args:
        name: one of the chapters', or a C file below ``tests/machine``.
        stock: on the distribution's QEMU.
        json_file: where the facts go, if wanted.
    Raises:
        LabError: there is no such program, it does not build, or the file cannot be written.
    """
    program = find(name)
    need_writable("--json", json_file)
    with step(f"running {program.name}"):
        seen = carry_out(program, stock=stock)
    show(seen)
    if json_file is not None:
        facts = seen.as_json()
        jsonschema.validate(facts, json.loads(SCHEMA.read_text(encoding="utf-8")))
        try:
            json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except OSError as bad:
            raise LabError(f"--json: {bad}", ExitCode.USAGE) from bad
    code = exit_code(seen)
    if code is not ExitCode.OK:
        say(f"{program.name}: not everything was as the program expects")
    return int(code)
