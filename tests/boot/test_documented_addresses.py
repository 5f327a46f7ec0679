# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The addresses that the documentation gives are those of the image that was built."""

from __future__ import annotations

import json
import re
from pathlib import Path

from elftools.elf.elffile import ELFFile

from build_scripts.builds.firmware_build import Firmware

from .conftest import Run


def number(text: str, pattern: str) -> int:
    """The hexadecimal number, H behind it, that a sentence of a page names."""
    found = re.search(pattern, " ".join(text.split()))
    assert found is not None, pattern
    return int(found[1], 16)


def test_symbols_are_those_of_the_image(firmware: Firmware) -> None:
    """The code that they describe is the code that runs."""
    with firmware.symbols.open("rb") as handle:
        text = ELFFile(handle).get_section_by_name(".text")
        assert text is not None
        code = text.data()
    at = json.loads(firmware.description.read_text())["text_offset"]
    assert code and firmware.mseg.read_bytes()[at : at + len(code)] == code


def test_code_of_the_stm(checkout: Path, firmware: Firmware) -> None:
    """The converter's description and the linker's addresses say where the code is, and what gdb adds."""
    described = json.loads(firmware.description.read_text())
    with firmware.symbols.open("rb") as handle:
        file = ELFFile(handle)
        text = file.get_section_by_name(".text")
        assert text is not None
        # Nothing that is written: the converter keeps the text alone.
        assert file.get_section_by_name(".data") is None and file.get_section_by_name(".bss") is None
        linked = text["sh_addr"]
    guide = (checkout / "docs/guide/debugging.rst").read_text()
    assert number(guide, r"its code at MSEG base \+ ([0-9A-F]+)H") == described["text_offset"]
    assert "``add-symbol-file Stm.debug -o`` and MSEG base:" in " ".join(guide.split())
    assert linked == described["text_offset"]
    layout = (checkout / "docs/reference/stm-image.rst").read_text()
    assert number(layout, r"\* - ([0-9A-F]+)H - text \(RX\)") == described["text_offset"]


def test_base_of_the_labs_machine(checkout: Path, stm_run: Run) -> None:
    guide = (checkout / "docs/guide/debugging.rst").read_text()
    assert number(guide, r": ([0-9A-F]+)H on the lab's machine") == stm_run.document["firmware"]["mseg_base"]


def test_smis_of_one_session(checkout: Path, stm_run: Run) -> None:
    """The tutorial's figure."""
    page = " ".join((checkout / "docs/tutorial/first-light.rst").read_text().split())
    assert "The STM counts far more, over two hundred each time it is started" in page
    counts = [record.number("smis") for record in stm_run.stream.of("STM", "stop")]
    assert counts and all(200 < count < 300 for count in counts), counts
