# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Converter and inspector, on modules made here."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.stm_image import ImageError, convert, inspect_image, layout
from build_scripts.stm_image.__main__ import main

TEXT = 0x6000_0020
DATA = 0xC000_0040
RELOC = 0x4200_0040
PAGE = layout.PAGE
DEBUG_AT = 0x2000


@dataclass
class Module:
    """What GenFw would write: .text at 1000H, .data at 2000H, .reloc at 3000H, which names the pointers."""

    entry: int = 0x1010
    pointers: dict[int, int] = field(default_factory=dict)
    stray: dict[int, int] = field(default_factory=dict)
    names: tuple[str, ...] = (".text", ".data", ".reloc")
    flags: tuple[int, ...] = (TEXT, DATA, RELOC)
    text_size: int = PAGE
    relocation_type: int = 10
    debug_path: bytes = b"/somewhere/Build/Stm.dll"
    debug_entry: int = DEBUG_AT + 0x40

    def bytes(self) -> bytes:
        """The file."""
        image = bytearray(4 * PAGE)
        image[0x1000:0x2000] = bytes([0x90]) * PAGE
        for address, value in self.pointers.items():
            struct.pack_into("<Q", image, address, value)
        for address, value in self.stray.items():
            image[address] = value
        if self.debug_path:
            struct.pack_into("<II", image, DEBUG_AT + 16, len(self.debug_path), self.debug_entry)
            image[DEBUG_AT + 0x40 : DEBUG_AT + 0x40 + len(self.debug_path)] = self.debug_path
        block = [address % PAGE | self.relocation_type << 12 for address in sorted(self.pointers)]
        block += [0] * (len(block) % 2)
        table = struct.pack(f"<II{len(block)}H", 0x2000, 8 + 2 * len(block), *block)
        image[0x3000 : 0x3000 + len(table)] = table

        header = 0x80
        image[:2] = b"MZ"
        struct.pack_into("<I", image, 0x3C, header)
        struct.pack_into("<4sHH", image, header, b"PE", 0x8664, len(self.names))
        struct.pack_into("<H", image, header + 20, 240)
        optional = header + 24
        struct.pack_into("<H", image, optional, 0x20B)
        struct.pack_into("<I", image, optional + 16, self.entry)
        struct.pack_into("<I", image, optional + 56, len(image))
        struct.pack_into("<I", image, optional + 108, 16)
        struct.pack_into("<II", image, optional + 112 + 8 * 5, 0x3000, len(table))
        if self.debug_path:
            struct.pack_into("<II", image, optional + 112 + 8 * 6, DEBUG_AT, 28)
        sizes = (self.text_size, PAGE, PAGE)
        for index, (name, flags) in enumerate(zip(self.names, self.flags, strict=True)):
            address = 0x1000 * (index + 1)
            section = struct.pack("<8sIIII", name.encode(), sizes[index], address, sizes[index], address)
            image[optional + 240 + 40 * index : optional + 240 + 40 * index + len(section)] = section
            struct.pack_into("<I", image, optional + 240 + 40 * index + 36, flags)
        return bytes(image)


GOOD = Module()


def test_good_module() -> None:
    image = convert(GOOD.bytes())
    assert image.software.static_image_size == 2 * PAGE
    assert image.hardware.eip_offset == GOOD.entry
    assert image.hardware.cr3_offset == 2 * PAGE
    assert (image.lab.text_offset, image.lab.text_size) == (0x1000, PAGE)
    assert image.lab.rodata_size == 0
    assert len(image.data) == 2 * PAGE
    report = inspect_image(image.data)
    assert report.problems == ()
    assert (report.hardware, report.software, report.lab) == (image.hardware, image.software, image.lab)
    assert report.gdt[layout.CS_SELECTOR // 8] == layout.GDT[layout.CS_SELECTOR]


def test_image_is_where_it_was_linked() -> None:
    """File offset of each byte is its link address."""
    assert convert(GOOD.bytes()).data[PAGE:] == GOOD.bytes()[PAGE : 2 * PAGE]


def test_build_directory_does_not_show() -> None:
    other = replace(GOOD, debug_path=b"/elsewhere/with/another/length/Stm.dll")
    assert convert(GOOD.bytes()).data == convert(other.bytes()).data
    assert b"Stm.dll" not in convert(GOOD.bytes()).data


def test_mseg_revision_is_a_parameter() -> None:
    assert convert(GOOD.bytes()).hardware.revision == 0
    assert convert(GOOD.bytes(), 7).hardware.revision == 7


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (replace(GOOD, stray={0x2100: 1}), "initialised writable data at .data+0x100"),
        (replace(GOOD, names=(".text", ".bss", ".reloc")), "section .bss"),
        (replace(GOOD, flags=(TEXT | 0x8000_0000, DATA, RELOC)), ".text is writable"),
        (replace(GOOD, flags=(DATA, DATA, RELOC)), "no executable .text"),
        (replace(GOOD, text_size=0x940), "not aligned"),
        (replace(GOOD, debug_path=b""), "writable data in .data"),
        (replace(GOOD, entry=0x2000), "entry point"),
        (replace(GOOD, pointers={0x2018: 0x1020}), "pointer at 0x2018: nobody relocates the image"),
        (replace(GOOD, pointers={0x2018: 0x1020}, relocation_type=3), "relocation type 3"),
        (replace(GOOD, debug_entry=0xFFFF_0000), "debug data at 0xffff0000"),
        (replace(GOOD, names=(".reloc", ".data", ".text"), flags=(RELOC, DATA, TEXT)), ".text begins at 0x3000"),
    ],
)
def test_refused_module(module: Module, message: str) -> None:
    with pytest.raises(ImageError, match=message.replace("+", r"\+")):
        convert(module.bytes())


def test_relocation_that_is_not_read_is_no_image() -> None:
    """The parser stops at a relocation that is there twice; what follows must not be lost without a word."""
    module = bytearray(replace(GOOD, pointers={0x2000: 0x1010, 0x2018: 0x1020}).bytes())
    module[0x300A:0x300C] = module[0x3008:0x300A]
    with pytest.raises(ImageError, match="relocations at 0x300a cannot be read"):
        convert(bytes(module))


@settings(max_examples=40)
@given(st.data())
def test_garbled_module_is_refused_or_converted(data: st.DataObject) -> None:
    """Whatever a file holds, the converter answers with an image or an ImageError."""
    module = bytearray(GOOD.bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        module[data.draw(st.integers(0, 0x200))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(module)))
    for candidate in (bytes(module), bytes(module[:cut])):
        try:
            image = convert(candidate)
        except ImageError:
            continue
        assert inspect_image(image.data).problems == ()


@given(st.data())
def test_garbled_image_is_explained(data: st.DataObject) -> None:
    image = bytearray(convert(GOOD.bytes()).data)
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.sampled_from([0, layout.SOFTWARE_HEADER_OFFSET, layout.LAB_HEADER_OFFSET]))
        image[offset + data.draw(st.integers(0, 0x38))] = data.draw(st.integers(0, 255))
    report = inspect_image(bytes(image))
    assert report.text()
    json.dumps(report.as_json())


def test_bytes_behind_an_image() -> None:
    data = convert(GOOD.bytes()).data
    assert inspect_image(data + bytes(3)).problems == ("3 bytes follow the image and belong to nothing",)


def test_short_image() -> None:
    with pytest.raises(ValueError, match="less than the headers"):
        inspect_image(b"x")


def test_size_formula() -> None:
    """The formula of stm-interface.md section 2: nothing but the per-processor part depends on the number."""
    software = convert(GOOD.bytes()).software
    dynamic = layout.ACTIVATION_TABLES_SIZE + layout.DYNAMIC_SHARED_SIZE
    dynamic += 7 * layout.PAGE  # of tables
    for processors in (1, 2, 16):
        wanted = software.static_image_size + dynamic + processors * layout.BLOCK_SIZE
        assert layout.needed_size(software, processors) == wanted


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    efi, mseg, facts = (tmp_path / name for name in ("Stm.efi", "Stm.mseg", "Stm.json"))
    efi.write_bytes(GOOD.bytes())
    assert main(["convert", "--efi", str(efi), "--out", str(mseg), "--json", str(facts)]) == 0
    assert json.loads(facts.read_text())["file_size"] == len(mseg.read_bytes())
    stamp = mseg.stat().st_mtime_ns
    assert main(["convert", "--efi", str(efi), "--out", str(mseg)]) == 0
    assert mseg.stat().st_mtime_ns == stamp
    assert main(["inspect", str(mseg)]) == 0
    assert "no problem found" in capsys.readouterr().out
    assert main(["inspect", str(mseg), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    mseg.write_bytes(bytes(PAGE))
    assert main(["inspect", str(mseg)]) == 1
    efi.write_bytes(b"not a module")
    assert main(["convert", "--efi", str(efi), "--out", str(mseg)]) == 1
    assert "Stm.efi" in capsys.readouterr().err
