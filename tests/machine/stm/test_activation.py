# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The steps of an activation, in the order that the architecture's page tells."""

from __future__ import annotations

import struct
from hashlib import sha256
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from build_scripts.builds.firmware_build import Firmware, build_firmware
from build_scripts.conformance.image_build import build_image
from build_scripts.conformance.image_run import run_image
from build_scripts.conformance.image_table import DUAL_CPU
from build_scripts.stm_image import inspect_image
from tests.support.gdb_remote import GdbRemote

from .test_stm import HERE, MSEG_BASE, debugged, digest_defines, extra_arguments, image, read_run

# Of QEMU's gdb stub.
CR0_REGISTER, EFER_REGISTER = 0x1B, 0x20
CR0_WP, EFER_NXE = 1 << 16, 1 << 11
# What the page says of each step, and what is seen of it: the first instruction of a function, or a register that
# changes. The compiler puts one function into another, so where C is looked for is told by file and function.
STEPS = (
    ("puts three registers aside", "_ModuleEntryPoint"),
    ("and sets NXE", "NXE"),
    ("compares the hash of MSEG's static part", "StmPkg/Stm/Init/Activate.c:HashImage"),
    ("makes the activation tables its own", "StmPkg/Stm/Init/HostState.c:BuildPageTables"),
    ("and builds the EPT", "StmPkg/Stm/Protect/Ept.c:StmBuildEpt"),
    ("takes its processor's block, found by its APIC ID", "StmPkg/Library/VmxMonitorLib/Capability.c:VmxReadApicId"),
    ("loads that block's GDT and TR and the shared IDT", "AsmLoadTables"),
    ("sets WP", "WP"),
    ("switches to the block's own stack", "StmPkg/Stm/Init/TransferVmcs.c:StmSetUpTransferVmcs"),
    ("when it has a VMCS of its own", "AsmVmPtrLoad"),
)
NAMES = [name for _words, name in STEPS]
# From the first of these registers to the last the STM executes few instructions.
MOST_STEPS = 2000
STACK_SIZE = 0x1000
# Of the first page, between the headers, as forged.c has it.
UNUSED_BYTE = 0x700


def lines_of(checkout: Path, name: str) -> tuple[str, range]:
    """The file's name and the lines of a function of C."""
    path, function = name.split(":")
    lines = (checkout / path).read_text(encoding="utf-8").splitlines()
    first = lines.index(f"{function} (")
    return Path(path).name, range(first + 1, lines.index("}", first) + 2)


def addresses(firmware: Firmware, checkout: Path) -> dict[int, str]:
    """What the first instruction at an address of MSEG shows."""
    report = inspect_image(firmware.mseg.read_bytes())
    assert report.lab is not None
    wanted = {name: lines_of(checkout, name) for name in NAMES if ":" in name}
    found: dict[int, str] = {}
    with firmware.symbols.open("rb") as handle:
        elf = ELFFile(handle)
        text, symbols = elf.get_section_by_name(".text"), elf.get_section_by_name(".symtab")
        assert text is not None and isinstance(symbols, SymbolTableSection)
        linked = text["sh_addr"]
        for symbol in symbols.iter_symbols():
            if symbol.name in NAMES:
                found[symbol["st_value"]] = symbol.name
        dwarf = elf.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            assert program is not None
            for state in (entry.state for entry in program.get_entries() if entry.state):
                file = program.header["file_entry"][state.file].name.decode()
                for name, (of, lines) in wanted.items():
                    if of == file and state.line in lines and state.address >= linked and not state.end_sequence:
                        found[state.address] = name
    assert set(found.values()) == set(NAMES) - {"NXE", "WP"}
    return {address - linked + MSEG_BASE + report.lab.text_offset: name for address, name in found.items()}


def registers(gdb: GdbRemote) -> dict[str, int]:
    """What a step may change: two bits."""
    cr0, efer = (
        struct.unpack("<Q", bytes.fromhex(gdb.request(f"p{number:x}")))[0] for number in (CR0_REGISTER, EFER_REGISTER)
    )
    return {"NXE": efer & EFER_NXE, "WP": cr0 & CR0_WP}


class Watch:
    """Runs until what was not seen yet begins."""

    def __init__(self, gdb: GdbRemote, at: dict[int, str]) -> None:
        self.gdb = gdb
        self.at = at
        for address in at:
            gdb.set_breakpoint(address)

    def forget(self, name: str) -> None:
        """Do not stop there again."""
        for address in [address for address, other in self.at.items() if other == name]:
            self.gdb.clear_breakpoint(address)
            del self.at[address]

    def next(self) -> str:
        """The name of what begins next."""
        self.gdb.run_to_stop()
        name = self.at[self.gdb.read_register("rip")]
        self.forget(name)
        return name


def test_steps_come_in_the_order_of_the_page(checkout: Path, qemu: Path, tmp_path: Path) -> None:
    firmware = build_firmware()
    at = addresses(firmware, checkout)
    seen: list[str] = []
    with debugged(qemu, image(firmware.mseg), tmp_path) as (_process, gdb):
        watch = Watch(gdb, at)
        seen.append(watch.next())
        before = registers(gdb)
        while "AsmLoadTables" not in seen:
            name, now = watch.next(), registers(gdb)
            seen += [*(bit for bit, value in now.items() if value != before[bit]), name]
            before = now
        # Before the registers are all as they stay, none of what comes behind them begins.
        entry_stack = gdb.read_register("rsp")
        for _step in range(MOST_STEPS):
            gdb.request("s")
            now, pc = registers(gdb), gdb.read_register("rip")
            seen += [name for name, value in now.items() if value != before[name]]
            before = now
            if pc in watch.at:
                seen.append(watch.at[pc])
                watch.forget(watch.at[pc])
                break
        stack = gdb.read_register("rsp")
        assert not entry_stack - STACK_SIZE < stack < entry_stack + STACK_SIZE
        seen.append(watch.next())
    assert seen == NAMES
    page = " ".join((checkout / "docs" / "architecture.rst").read_text(encoding="utf-8").split())
    places = [page.index(words) for words, _name in STEPS]
    assert places == sorted(places)


def test_whoever_writes_image_and_digest_is_not_found_out(qemu: Path, mseg: Path, tmp_path: Path) -> None:
    """The limit of the hash: both are in MSEG. Who knows the image's digest from elsewhere sees it in the record."""
    static = bytearray(mseg.read_bytes()[: inspect_image(mseg.read_bytes()).software.static_image_size])
    static[UNUSED_BYTE] ^= 1
    forged = sha256(static).digest()
    sources = tuple(str(HERE / name) for name in ("firmware.c", "forged.c", "no_guests.c"))
    defines = (*digest_defines(mseg), "FORGED_DIGEST=" + ",".join(map(str, forged)))
    rom = build_image(sources, defines).rom
    run = read_run(tmp_path, run_image(qemu, rom, tmp_path, DUAL_CPU, extra_arguments(tmp_path), timeout=60))
    assert run.outcome.problems(expect_shutdown=False) == []
    (init,) = run.of("init")
    assert init.text("mseg_sha256") == forged.hex()
    assert [record.number("smis") for record in run.of("stop")] == [1]
