# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``model``: random sequences on the machine, compared with the rules as a program."""

from __future__ import annotations

import json
from pathlib import Path

from build_scripts import paths
from build_scripts.builds import qemu_build
from build_scripts.commands.output import need_writable
from build_scripts.conformance.image_build import need_images
from build_scripts.conformance.shards import Shard
from build_scripts.errors import ExitCode
from build_scripts.machine.processors import version
from build_scripts.model import campaign
from build_scripts.observation import show
from build_scripts.progress import say, step
from build_scripts.tables import compact_table


def model(count: int, first: int, shard: Shard, json_file: Path | None, processors: int = 1) -> int:
    """Carry out the sequences of some seeds, print what was reached and what differs, and write what was asked for.

    Args:
        count: seeds of all shares together.
        first: the first of them.
        shard: the share to carry out.
        json_file: for the numbers, if anywhere.
        processors: of the machine and of each sequence, 1 or 2.
    Returns:
        OK only if the machine does what the rules say.
    Raises:
        LabError: no machine, no images, or a file cannot be written.
    """
    need_writable("--json", json_file)
    need_images()
    machine = qemu_build.find_machine()
    folder = paths.new_run_dir("model")
    machines = campaign.Machines(machine, folder, processors)
    seeds = shard.of(range(first, first + count))
    try:
        with step("model") as shown:
            result = campaign.run(machines, iter(seeds), lambda done: shown.line(f"[{done}/{len(seeds)}] sequences"))
    finally:
        machines.drop()
    table = compact_table("what the sequences reached", words=("",), numbers=("times",))
    for name, times in sorted(result.reached.items()):
        table.add_row(name, f"{times:,}")
    out = show.console()
    out.print(table)
    out.print(f"{result.sequences:,} sequences, {result.operations:,} operations", highlight=False)
    for difference in result.differences:
        out.print(f"difference, seed {difference.seed}:\n{difference.text}", markup=False)
    if json_file is not None:
        facts = campaign.as_json(result, f"QEMU {version(machine)}", first, count, shard, processors)
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    say(f"logs: {folder}")
    return ExitCode.EXPECTATION_FAILED if result.differences else ExitCode.OK
