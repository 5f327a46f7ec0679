# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command ``bench``: what VMX costs, used and unused, and what the STM does in an SMI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.benchmarks import engine, guests, page_text, policies, stm
from build_scripts.builds.firmware_build import build_firmware
from build_scripts.builds.qemu_build import find_machine
from build_scripts.builds.qemu_unpatched import unpatched_qemu
from build_scripts.builds.stm_build import build_stm
from build_scripts.commands.output import need_writable
from build_scripts.conformance.image_build import need_images
from build_scripts.errors import ExitCode, LabError
from build_scripts.observation import show
from build_scripts.pages import replace_generated
from build_scripts.progress import say, step


def _measured(quick: bool, exact: bool, folder: Path) -> tuple[dict[str, Any], str]:
    """The facts, and the tables that they make."""
    if exact:
        machine, mseg = find_machine(), build_stm() / "Stm.mseg"
        facts = stm.measure(machine, mseg, folder)
        with step("counting what optional policies take on several processors"):
            facts["policies"] = policies.measure(machine, mseg, folder)
        return facts, page_text.stm_costs(facts)
    effort = guests.QUICK if quick else guests.FULL
    facts = engine.measure(find_machine(), unpatched_qemu(), build_firmware(), effort, folder)
    return facts, page_text.generated(facts)


def bench(json_file: Path | None, page: Path | None, quick: bool, exact: bool = False) -> int:
    """Measure, print the tables, and write what was asked for.

    Args:
        quick: a little of everything; shows that it works, its numbers mean nothing.
        exact: count what the STM does, and measure no time.
    Raises:
        LabError: a build or a measurement failed, or a file cannot be written.
    """
    need_writable("--json", json_file)
    need_writable("--rst", page)
    need_images()
    folder = paths.new_run_dir("bench")
    facts, tables = _measured(quick, exact, folder)
    show.tell(show.console(), tables)
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise LabError(f"{json_file}: {error.strerror}", ExitCode.USAGE) from error
    if page is not None:
        replace_generated(page, tables)
    say(f"logs: {folder}")
    return ExitCode.OK
