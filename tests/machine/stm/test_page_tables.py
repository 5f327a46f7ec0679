# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The page tables on which the STM runs: what is executable is not writable.

Read through the gdb stub while the STM serves an SMM VM exit; the tables lie in
TSEG, which they map.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build_scripts.stm_image import inspect_image
from tests.support.gdb_remote import GdbRemote

from .test_stm import ENTRY_POINTS, MSEG_BASE, SMM_EXIT, address_of, debugged, image

CR3_REGISTER = 0x1D  # of QEMU's gdb stub
PRESENT, WRITABLE, LARGE, EXECUTE_DISABLE = 1 << 0, 1 << 1, 1 << 7, 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
LEVELS = 4
# STM_TABLES_POINTERS of StmMemory.h.
POINTERS = 0x1000
TSEG_SIZE, MSEG_SIZE = 0x80_0000, 0x20_0000
TSEG_BASE = MSEG_BASE + MSEG_SIZE - TSEG_SIZE


@dataclass(frozen=True)
class Page:
    """A mapping: linear address, size in bytes, physical address, rights."""

    linear: int
    size: int
    physical: int
    writable: bool
    executable: bool


def pages(gdb: GdbRemote, table: int, level: int = LEVELS, linear: int = 0) -> Iterator[Page]:
    """All mappings below a table; no table of the STM takes a right away from what is below it."""
    for index, entry in enumerate(struct.unpack("<512Q", gdb.read_memory(table, 4096))):
        shift = 12 + 9 * (level - 1)
        at = linear | index << shift
        if not entry & PRESENT:
            continue
        if level == 1 or entry & LARGE:
            yield Page(at, 1 << shift, entry & ADDRESS, bool(entry & WRITABLE), not entry & EXECUTE_DISABLE)
        else:
            assert entry & WRITABLE and not entry & EXECUTE_DISABLE
            yield from pages(gdb, entry & ADDRESS, level - 1, at)


def test_code_is_read_only_and_data_does_not_run(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    entry = address_of(mseg, SMM_EXIT, ENTRY_POINTS)
    with debugged(qemu, image(mseg), tmp_path) as (_process, gdb):
        gdb.set_breakpoint(entry)
        gdb.run_to_stop()
        (cr3,) = struct.unpack("<Q", bytes.fromhex(gdb.request(f"p{CR3_REGISTER:x}")))
        found = list(pages(gdb, cr3 & ADDRESS))
    report = inspect_image(mseg.read_bytes())
    assert report.lab is not None
    static = MSEG_BASE + report.software.static_image_size
    text = MSEG_BASE + report.lab.text_offset
    assert all(page.physical == page.linear for page in found)
    # TSEG and nothing else, so that nothing outside it can be read or run by mistake.
    assert sum(page.size for page in found) == TSEG_SIZE
    assert {page.linear >= TSEG_BASE and page.linear + page.size <= TSEG_BASE + TSEG_SIZE for page in found} == {True}
    assert [page for page in found if page.writable and page.executable] == []
    # The text runs, and nothing else; one of the tables could, of which the STM says why.
    assert text <= entry < text + report.lab.text_size
    runs = {*range(text, text + report.lab.text_size, 4096), static + POINTERS}
    assert {page.linear for page in found if page.executable} == runs
    # The image is never written, so that a second activation finds what the loader left.
    assert [page for page in found if page.writable and MSEG_BASE <= page.linear < static] == []
    assert any(page.writable for page in found if page.linear >= static)
