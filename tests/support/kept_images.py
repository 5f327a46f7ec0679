# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Test images run once a session, for the test of each and for the judgement of all.

What one process of the session has run, the others read.
"""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import Outcome, parse_log, run_image
from build_scripts.conformance.image_table import Image


def outcome_of(image: Image, machine: Path, session: Path) -> Outcome:
    """Build and run an image, or read what this session has.

    Args:
        machine: QEMU's binary, the same for all calls of a session.
        session: the folder of the session, the same in each of its processes.
    """
    folder = session / "images" / image.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / "kept.json"
        if not kept.is_file():
            rom = build_image(image.sources, image.defines)
            outcome = run_image(machine, rom.rom, folder, image.cpu, image.extra)
            kept.write_text(json.dumps([outcome.log, outcome.status, outcome.errors]), encoding="utf-8")
    log, status, errors = json.loads(kept.read_text(encoding="utf-8"))
    return parse_log(log, status, errors)
